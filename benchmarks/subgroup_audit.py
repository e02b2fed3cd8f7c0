"""Who is harmed by compression: the audit on real networks, a planted harm, and alarms where there is none.

LeNet-300-100 on Fashion-MNIST, dense and pruned gradually by magnitude to densities 0.1, 0.05 and 0.02 over as many
steps, three seeds.
Attributes of the 10,000 test pictures: brightness, contrast, edges, and how near the dense network's second class came.

    python benchmarks/subgroup_audit.py networks --data DIR
    python benchmarks/subgroup_audit.py alarms --data DIR
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write
from torch import nn

import niwaki as nw
from niwaki.report.picture_attributes import confusability, picture_attributes
from niwaki.report.subgroups import audit

DENSITIES = (0.1, 0.05, 0.02)
EPOCHS, BATCH, SEEDS = 5, 128, 3
NULL_RUNS, PLANTED_RUNS, PLANTED = 600, 20, 0.3


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


def harmless(
    attributes: dict[str, Any], truth: np.ndarray, before: np.ndarray, after: np.ndarray, permutations: int
) -> dict[str, Any]:
    """Alarms where the lost examples of each class are drawn at random from those that were right."""
    rng = np.random.default_rng(0)
    right = before == truth
    lost = right & (after != truth)
    alarms = 0
    for run in range(NULL_RUNS):
        drawn = before.copy()
        for klass in np.unique(truth):
            rows = np.flatnonzero(right & (truth == klass))
            hit = rng.choice(rows, int(lost[rows].sum()), replace=False)
            drawn[hit] = (klass + 1) % 10
        alarms += bool(audit(attributes, truth, before, drawn, permutations=permutations, seed=run).subgroups)
    return {"permutations": permutations, "runs": NULL_RUNS, "alarms": alarms, "bound": 0.05 * NULL_RUNS}


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
    before = dense.argmax(axis=1)
    after = scores(train(x, y, DENSITIES[0], 0), seen).argmax(axis=1)
    result = {
        "shuffled": harmless(attributes, truth, before, after, 1000),
        "by_formula": harmless(attributes, truth, before, after, 0),
        "planted": planted(attributes, truth, before, after),
    }
    print(result, flush=True)
    write("subgroup_audit_alarms", {"epochs": EPOCHS, "batch": BATCH, **result})
    # Three standard errors: a run of chance is reported, a broken promise stops the benchmark.
    assert result["shuffled"]["alarms"] <= 0.05 * NULL_RUNS + 3 * math.sqrt(0.05 * 0.95 * NULL_RUNS)


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
