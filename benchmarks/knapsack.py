"""Channels of ResNet-50 within a share of its MACs: how long the knapsack takes, and what its choice is worth.

    OMP_NUM_THREADS=1 python benchmarks/knapsack.py

Exact, HALP's greedy way, one ranking of all channels that ends where the next would exceed (`ranked`), and the same
share of every group (`uniform_width`), all for the same scores and the same limit. Scores are `Magnitude` of the
pretrained network's filters where ``--weights`` names a state dict, else of random ones, and draws that are spread like
saliencies (log-normal, with a scale of its own per group; three seeds). Worth is the share of all scores that stays.

``small`` holds chains of products with two to four groups of at most six channels, where all choices can be tried.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torchvision
from record import write
from torch import Tensor

import niwaki as nw
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost

SHARES = (0.8, 0.55, 0.3, 0.1)
SEEDS = (0, 1, 2)
Scores = Mapping[str, Tensor]
Keep = Mapping[str, Tensor]


def worth(scores: Scores, keep: Keep) -> float:
    kept = sum(float(scores[name][row].sum()) for name, row in keep.items())
    return kept / sum(float(row.sum()) for row in scores.values())


def counts(keep: Keep) -> dict[str, int]:
    return {name: int(row.sum()) for name, row in keep.items()}


def like_saliencies(groups: nw.Groups, seed: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    return {g.name: torch.tensor(rng.lognormal(0, 1, g.size) * rng.lognormal(0, 0.7)) for g in groups}


def ways(groups: nw.Groups, scores: Scores, limit: Limit, step: int) -> dict[str, Callable[[], Keep]]:
    share = limit.most / limit.cost.dense
    return {
        "exact": lambda: nw.knapsack(groups, scores, limit, step=step),
        "greedy": lambda: nw.knapsack(groups, scores, limit, step=step, method="greedy"),
        "ranked": lambda: nw.ranked(groups, scores, density=share, cost=lambda keep: limit.cost(counts(keep))),
        "uniform": lambda: nw.uniform_width(groups, scores, limit),
    }


def compared(groups: nw.Groups, cost: NetworkCost, scores: Scores, *, step: int, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for share in SHARES:
        for name, choose in ways(groups, scores, Limit(cost, share * cost.dense), step).items():
            if step > 1 and name in {"ranked", "uniform"}:
                continue  # they know no steps
            spent = []
            for _ in range(repeats if name == "exact" else 1):
                start = time.process_time()
                keep = choose()
                spent.append(time.process_time() - start)
            reached = cost(counts(keep)) / cost.dense
            assert reached <= share
            rows.append(
                {
                    "step": step, "share": share, "way": name, "seconds": statistics.median(spent),
                    "cost": reached, "worth": worth(scores, keep),
                }
            )  # fmt: skip
    return rows


def chain(rng: np.random.Generator) -> tuple[NetworkCost, dict[str, Tensor]]:
    inner = rng.integers(2, 7, size=int(rng.integers(2, 5))).tolist()
    names = [f"g{i}" for i in range(len(inner))]
    axes = [Axis(3), *(Axis(w, {n: 1}) for w, n in zip(inner, names, strict=True)), Axis(4)]
    prices = rng.integers(1, 9, size=len(inner) + 1).tolist()
    layers = [
        Layer(f"l{i}", (axes[i], axes[i + 1]), lambda a, b, price=price: price * a * b)
        for i, price in enumerate(prices)
    ]
    scores = {n: torch.tensor(rng.exponential(size=w) * rng.exponential()) for n, w in zip(names, inner, strict=True)}
    return NetworkCost(tuple(layers), dict(zip(names, inner, strict=True))), scores


def best(cost: NetworkCost, scores: Scores, most: float) -> float:
    prefixes = {n: np.concatenate([[0], np.cumsum(np.sort(row.numpy())[::-1])]) for n, row in scores.items()}
    found = 0.0
    for tried in itertools.product(*(range(1, size + 1) for size in cost.sizes.values())):
        kept = dict(zip(cost.sizes, tried, strict=True))
        if cost(kept) <= most:
            found = max(found, sum(prefixes[n][k] for n, k in kept.items()))
    return found


def small(trials: int) -> dict[str, Any]:
    gaps: dict[str, list[float]] = {"exact": [], "greedy": []}
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        cost, scores = chain(rng)
        least = cost(dict.fromkeys(cost.sizes, 1))
        most = least + (cost.dense - least) * float(rng.uniform(0.05, 0.95))
        groups = [nw.Group(name, size, ()) for name, size in cost.sizes.items()]
        highest = best(cost, scores, most)
        for method, found in gaps.items():
            keep = nw.knapsack(groups, scores, Limit(cost, most), method=method)
            found.append(1 - sum(float(scores[n][row].sum()) for n, row in keep.items()) / highest)
    return {
        "trials": trials,
        **{
            method: {"mean gap": float(np.mean(g)), "worst": max(g), "optimal": float(np.mean(np.array(g) < 1e-9))}
            for method, g in gaps.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="a state dict of ResNet-50, loaded with weights_only")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=300)
    chosen = parser.parse_args()
    torch.manual_seed(0)
    model = torchvision.models.resnet50().eval()
    if chosen.weights:
        model.load_state_dict(torch.load(chosen.weights, weights_only=True))
    example = torch.zeros(1, 3, 224, 224)
    groups = nw.channels(model, example)
    cost = nw.counted(model, example).macs.cost(groups)
    drawn = {"magnitude": nw.score(nw.Magnitude(), model, groups)}
    drawn |= {f"log-normal {seed}": like_saliencies(groups, seed) for seed in SEEDS}
    rows = [
        {"scores": name, **row}
        for name, scores in drawn.items()
        for step in (1, 8)
        for row in compared(groups, cost, scores, step=step, repeats=chosen.repeats)
    ]
    for row in rows:
        print(row, flush=True)
    result = {
        "groups": len(groups), "channels": groups.size, "steps": 1000, "pretrained": bool(chosen.weights),
        "seconds": "of the process, median", "rows": rows, "small": small(chosen.trials),
    }  # fmt: skip
    print(result["small"])
    write("knapsack", result)


if __name__ == "__main__":
    main()
