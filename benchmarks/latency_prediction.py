"""Predicted latency against the measured one: networks narrowed until a table says 0.8, 0.55 and 0.3 of the dense one.

    python benchmarks/latency_prediction.py --networks mobilenet_v2 resnet50 --backends eager onnxruntime

Each network is narrowed in two ways: all groups by one share, and by the knapsack with the norms of untrained weights
for scores, which gives uneven widths. Both keep multiples of 8. The model is really shrunk and timed in turns with the
dense one, by the clock on the wall and, with one thread, by what the thread computed; rows give the shares of the dense
latency. A table is built from nothing, and its seconds are part of the result.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import replace
from typing import Any

import torch
import torchvision
from record import write
from torch import Tensor, nn

import niwaki as nw
from niwaki.core import Group, NetworkCost
from niwaki.core.gates import counts_of
from niwaki.measure.build_table import runtime_of

STEP = 8


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["mobilenet_v2", "resnet50"])
    parser.add_argument("--backends", nargs="+", default=["eager", "onnxruntime"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.8, 0.55, 0.3])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def by_step(groups: nw.Groups) -> list[Group]:
    """Groups that keep multiples of `STEP` wherever they are divisible by it."""
    return [replace(g, multiple_of=STEP, min_keep=STEP) if g.size % STEP == 0 else g for g in groups]


def narrowed(groups: list[Group], share: float) -> dict[str, Tensor]:
    """The first units of every group, one share of each in steps."""
    keep = {}
    for group in groups:
        step = group.multiple_of
        count = max(step, group.min_keep, round(group.size * share / step) * step)
        keep[group.name] = torch.arange(group.size) < min(count, group.size)
    return keep


def uniform(groups: list[Group], cost: NetworkCost, target: float) -> dict[str, Tensor]:
    """The share of units whose predicted cost is nearest to the target."""
    plans = [narrowed(groups, share / 100) for share in range(10, 101)]
    return min(plans, key=lambda keep: abs(cost(counts_of(keep)) / cost.dense - target))


def timed(models: dict[str, Any], given: argparse.Namespace, clock: Any) -> dict[str, nw.Timing]:
    # Several calls make one timing: the model before has left the caches by then, as where a model runs by itself.
    found = nw.latency(models, (), threads=given.threads, rounds=given.rounds, at_least=0.1, clock=clock)
    return {row.name: row for row in found.rows}


def row_of(plan: str, predicted: float, wall: nw.Timing, thread: nw.Timing) -> dict[str, Any]:
    return {
        "plan": plan,
        "predicted": round(predicted, 4),
        "measured": round(wall.ratio, 4),
        "interval": [round(wall.low, 4), round(wall.high, 4)],
        "off": round(predicted / wall.ratio - 1, 4),
        "measured_by_thread": round(thread.ratio, 4),
        "off_by_thread": round(predicted / thread.ratio - 1, 4),
    }


def rows_of(name: str, backend: str, given: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).eval()
    example = torch.randn(given.batch, 3, given.size, given.size)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = nw.latency_table(model, example, backend=backend, threads=given.threads, cache=folder)
    seconds = time.perf_counter() - begun
    groups = by_step(nw.channels(model, example))
    cost, scores = table.cost(groups), nw.score(nw.Magnitude(), model, groups)
    plans: dict[str, dict[str, Tensor]] = {}
    for share in given.shares:
        plans[f"uniform {share}"] = uniform(groups, cost, share)
        plans[f"knapsack {share}"] = nw.knapsack(groups, scores, nw.Latency(share, table))
    runtime = runtime_of(backend, torch.device("cpu"), given.threads)
    smaller: dict[str, nn.Module] = {plan: nw.shrink(model, groups, keep) for plan, keep in plans.items()}
    calls = {plan: runtime.whole(it, example) for plan, it in {"dense": model, **smaller}.items()}
    wall = timed(calls, given, time.perf_counter)
    thread = timed(calls, given, time.thread_time) if given.threads == 1 else wall
    shares = {plan: cost(counts_of(keep)) / cost.dense for plan, keep in plans.items()}
    rows = [row_of(plan, shares[plan], wall[plan], thread[plan]) for plan in plans]
    print(name, backend, rows, flush=True)
    dense = {"alone": table.dense_predicted, "whole": table.dense_measured, "now": wall["dense"].median}
    return {
        "network": name,
        "backend": backend,
        "table_seconds": round(seconds, 1),
        "points": sum(map(len, table.points.values())),
        "dense_seconds": {key: round(value or 0.0, 6) for key, value in dense.items()},
        "warnings": [str(warning.message) for warning in told],
        "unmeasured": dict(table.unmeasured),
        "rows": rows,
    }


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    found: list[dict[str, Any]] = []
    for name in given.networks:
        for backend in given.backends:
            found.append(rows_of(name, backend, given))
            rows = [row for each in found for row in each["rows"]]
            worst = {clock: max(abs(row[clock]) for row in rows) for clock in ("off", "off_by_thread")}
            settings = {key: getattr(given, key) for key in ("size", "batch", "threads", "rounds")}
            print(
                write("latency_prediction", {"settings": settings, "worst": worst, "found": found}), worst, flush=True
            )


if __name__ == "__main__":
    main()
