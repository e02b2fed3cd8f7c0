"""Who is harmed by compression: the audit on real networks, a planted harm, and alarms where there is none.

LeNet-300-100 on Fashion-MNIST, dense and pruned gradually by magnitude to densities 0.1, 0.05 and 0.02 over as many
steps, three seeds.
Attributes of the 10,000 test pictures: brightness, contrast, edges, and how near the dense network's second class came.

    python benchmarks/subgroup_audit.py networks --data DIR
    python benchmarks/subgroup_audit.py alarms --data DIR
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write
from scipy.stats import binomtest
from torch import nn

import niwaki as nw
from niwaki.report.picture_attributes import confusability, picture_attributes
from niwaki.report.subgroups import audit

DENSITIES = (0.1, 0.05, 0.02)
EPOCHS, BATCH, SEEDS = 5, 128, 3
NULL_RUNS, PLANTED_RUNS, PLANTED = 600, 20, 0.3
NULL_SETS = ((0.1, 0), (0.1, 1), (0.02, 2))  # density whose losses are drawn anew, and the seed of the draws


def load(folder: Path) -> tuple[torch.Tensor, ...]:
    with np.load(folder / "fashion_mnist.npz", allow_pickle=False) as file:
        return tuple(torch.from_numpy(file[name]) for name in ("x_train", "y_train", "x_test", "y_test"))


def scaled(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures.float().flatten(1) / 255 - 0.2860) / 0.3530


def train(x: torch.Tensor, y: torch.Tensor, density: float | None, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    per_epoch = len(x) // BATCH
    steps = EPOCHS * per_epoch
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if density is not None:
        nw.gmp(model, nw.weights(model), density=density, steps=steps).attach(optimizer)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for at in range(per_epoch):
            rows = order[at * BATCH : (at + 1) * BATCH]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


@torch.no_grad()
def scores(model: nn.Module, x: torch.Tensor) -> np.ndarray:
    return np.asarray(model(x))


def told(found: Any) -> dict[str, Any]:
    top = [
        {
            "attributes": one.attributes,
            "lost": one.lost,
            "examples": one.examples,
            "elsewhere": one.elsewhere,
            "odds_ratio": one.odds_ratio,
            "low": one.low,
            "high": one.high,
            "p": one.p,
            "adjusted": one.adjusted,
            "gained": one.gained,
            "accuracy": [one.accuracy_before, one.accuracy_after],
        }
        for one in found.subgroups[:5]
    ]
    facts = {name: getattr(found, name) for name in ("lost", "gained", "tested", "accuracy_before", "accuracy_after")}
    return {**facts, "subgroups": len(found.subgroups), "spared": found.spared, "top": top}


Drawn = tuple[np.ndarray, np.ndarray]  # the rows that were right, and of these which are lost: [rows, draws]


def at_random(truth: np.ndarray, before: np.ndarray, after: np.ndarray, draws: int, seed: int) -> Drawn:
    """As many examples of each class as were lost, drawn anew from those of the class that were right."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(before == truth)
    lost = np.zeros((len(rows), draws), bool)
    for draw in range(draws):
        for klass in np.unique(truth):
            here = np.flatnonzero(truth[rows] == klass)
            lost[rng.choice(here, int((after[rows[here]] != klass).sum()), replace=False), draw] = True
    return rows, lost


def harmless(
    attributes: dict[str, Any], truth: np.ndarray, before: np.ndarray, drawn: Drawn, permutations: int, seed: int
) -> dict[str, Any]:
    """Alarms where the lost examples are drawn at random."""
    rows, lost = drawn
    runs, alarms = lost.shape[1], 0
    for run in range(runs):
        after = before.copy()
        hit = rows[lost[:, run]]
        after[hit] = (truth[hit] + 1) % 10
        alarms += bool(audit(attributes, truth, before, after, permutations=permutations, seed=seed + run).subgroups)
    found = binomtest(alarms, runs, 0.05)
    interval = found.proportion_ci(0.95)
    return {
        "permutations": permutations,
        "runs": runs,
        "alarms": alarms,
        "promised": 0.05 * runs,
        "interval_95": [interval.low, interval.high],
        "p_of_promise": found.pvalue,
    }


def largest(attributes: dict[str, Any], truth: np.ndarray, drawn: Drawn, least: int) -> np.ndarray:
    """The largest statistic over all subgroups of each draw, by multiplying out tables; no code of the search."""
    rows, lost = drawn
    parts = []
    for values in attributes.values():
        edges = [-np.inf, *np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf"), np.inf]
        parts.append([(values > low) & (values <= high) for low, high in itertools.pairwise(edges)])
    chosen = [
        np.all(meeting, axis=0)[rows]
        for size in (1, 2, 3)
        for some in itertools.combinations(parts, size)
        for meeting in itertools.product(*some)
    ]
    held = np.array([group for group in chosen if least <= group.sum() < len(rows)], np.float32)
    cases = held @ lost.astype(np.float32)
    expected, variance = np.zeros(len(held)), np.zeros(len(held))
    for klass in np.unique(truth):
        here = truth[rows] == klass
        share, x, size = lost[here, 0].mean(), held[:, here].sum(axis=1, dtype=float), here.sum()
        expected += share * x
        variance += share * (1 - share) * x * (1 - x / size)
    return np.asarray(((cases - expected[:, None]) ** 2 / variance[:, None]).max(axis=0))


def beyond(attributes: dict[str, Any], truth: np.ndarray, drawn: Drawn, others: list[Drawn]) -> dict[str, Any]:
    """How many draws lie beyond the 95 % quantile of other draws: what a perfect audit would give as alarms."""
    rows, lost = drawn
    least = int(np.ceil(len(rows) / lost[:, 0].sum()))
    reference = np.concatenate([largest(attributes, truth, other, least) for other in others])
    here = largest(attributes, truth, drawn, least)
    edge = np.quantile(reference, 0.95)
    return {"others": len(reference), "draws_beyond": int((here > edge).sum()), "draws": len(here)}


def planted(attributes: dict[str, Any], truth: np.ndarray, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """How often a harm to two attributes together is found: three tenths of the right examples there are lost, too."""
    rng = np.random.default_rng(1)
    named, first, sizes = 0, 0, []
    for _ in range(PLANTED_RUNS):
        one, other = rng.choice(["brightness", "contrast", "edges", "confusable"], 2, replace=False)
        low = attributes[one] <= np.quantile(attributes[one], 0.25, method="inverted_cdf")
        high = attributes[other] > np.quantile(attributes[other], 0.75, method="inverted_cdf")
        inside = low & high & (after == truth)
        hit = inside & (rng.random(len(truth)) < PLANTED)
        changed = np.where(hit, (truth + 1) % 10, after)
        found = audit(attributes, truth, before, changed)
        sizes.append(int(hit.sum()))
        wanted = {f"{one}<=", f"{other}>"}
        sets = [
            {word for word in wanted for item in group.attributes if item.startswith(word)} for group in found.subgroups
        ]
        named += any(found == wanted for found in sets)
        first += bool(sets) and sets[0] == wanted
    return {"runs": PLANTED_RUNS, "share_lost": PLANTED, "planted": sizes, "named": named, "named_first": first}


def networks(x: torch.Tensor, y: torch.Tensor, seen: torch.Tensor, measured: Any, truth: np.ndarray) -> None:
    runs = []
    for seed in range(SEEDS):
        dense = scores(train(x, y, None, seed), seen)
        attributes = {**measured, "confusable": confusability(dense)}
        before = dense.argmax(axis=1)
        for density in (None, *DENSITIES):
            # Another dense network of another seed shows what changes without compression.
            other = train(x, y, density, seed + 100 if density is None else seed)
            after = scores(other, seen).argmax(axis=1)
            found = audit(attributes, truth, before, after)
            plain = audit(measured, truth, before, after)
            runs.append({"seed": seed, "density": density, **told(found), "without_confusability": told(plain)})
            last = runs[-1]
            print(f"seed {seed} density {density}: {last['accuracy_before']:.3f} -> {last['accuracy_after']:.3f},",
                  f"{last['lost']} lost, {last['subgroups']} subgroups", flush=True)  # fmt: skip
        write("subgroup_audit", {"epochs": EPOCHS, "batch": BATCH, "runs": runs})


def alarms(x: torch.Tensor, y: torch.Tensor, seen: torch.Tensor, measured: Any, truth: np.ndarray) -> None:
    dense = scores(train(x, y, None, 0), seen)
    attributes = {**measured, "confusable": confusability(dense)}
    before, sets = dense.argmax(axis=1), []
    after = {density: scores(train(x, y, density, 0), seen).argmax(axis=1) for density in {d for d, _ in NULL_SETS}}
    for density, seed in NULL_SETS:
        drawn = at_random(truth, before, after[density], NULL_RUNS, seed)
        others = [at_random(truth, before, after[density], 500, 1000 * (1 + seed) + part) for part in range(20)]
        found = harmless(attributes, truth, before, drawn, 1000, seed * NULL_RUNS)
        sets.append({"density": density, "seed": seed, **found, **beyond(attributes, truth, drawn, others)})
        print(sets[-1], flush=True)
    drawn = at_random(truth, before, after[DENSITIES[0]], NULL_RUNS, 0)
    total = binomtest(sum(one["alarms"] for one in sets), NULL_RUNS * len(sets), 0.05)
    interval = total.proportion_ci(0.95)
    result = {
        "shuffled": sets,
        "shuffled_together": {"runs": total.n, "alarms": total.k, "interval_95": [interval.low, interval.high]},
        "by_formula": harmless(attributes, truth, before, drawn, 0, 0),
        "planted": planted(attributes, truth, before, after[DENSITIES[0]]),
    }
    print(result, flush=True)
    write("subgroup_audit_alarms", {"epochs": EPOCHS, "batch": BATCH, **result})
    # Once in a thousand benchmarks chance alone would stop it; a broken promise does so for sure.
    assert binomtest(total.k, total.n, 0.05, alternative="greater").pvalue > 0.001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["networks", "alarms"])
    parser.add_argument("--data", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    x_train, y_train, x_test, y_test = load(given.data)
    measured, truth = picture_attributes(x_test.numpy()), y_test.numpy().astype(int)
    part = networks if given.part == "networks" else alarms
    part(scaled(x_train), y_train.long(), scaled(x_test), measured, truth)


if __name__ == "__main__":
    main()
