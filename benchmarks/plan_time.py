"""How long it takes to plan a smaller network, step by step, and the latency it then really has; without training.

    python benchmarks/plan_time.py --network resnet50 --targets 0.55 0.3

The steps: discovery, the latency table from nothing, scores by first-order Taylor on a few batches, the knapsack, the
shrinking. The network's weights are untrained and the images noise: neither changes the time of a step.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
import torchvision
from record import write
from torch.nn import functional as F

import niwaki as nw
from niwaki.app.backends import time_models


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.55, 0.3])
    parser.add_argument("--backends", nargs="+", default=["eager", "onnxruntime"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--step", type=int, default=8, help="widths are multiples of this")
    parser.add_argument("--batches", type=int, default=4, help="of 8 images, for the scores")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


@contextmanager
def noted(seconds: dict[str, float], name: str) -> Generator[None, None, None]:
    begun = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - begun, 3)


def plan(given: argparse.Namespace, backend: str) -> dict[str, Any]:
    """One row: the seconds of the steps, and each target's latency."""
    torch.manual_seed(0)
    model = getattr(torchvision.models, given.network)(weights=None).eval()
    example = torch.randn(1, 3, given.size, given.size)
    batches = [(torch.randn(8, 3, given.size, given.size), torch.randint(1000, (8,))) for _ in range(given.batches)]
    seconds: dict[str, float] = {}
    with noted(seconds, "channels"):
        groups = [replace(g, multiple_of=given.step) for g in nw.channels(model, example) if g.size % given.step == 0]
    with tempfile.TemporaryDirectory() as folder, noted(seconds, "table"):
        table = nw.latency_table(model, example, backend=backend, threads=given.threads, cache=folder)
    criterion = nw.Taylor(roles=("scale", "shift"), fallback=("out", "bias"))
    with noted(seconds, "scores"):
        scores = nw.score(criterion, model, groups, batches, F.cross_entropy, per_batch=True)
    rows = []
    for target in given.targets:
        spent: dict[str, float] = {}
        with noted(spent, "knapsack"):
            keep = nw.knapsack(groups, scores, nw.Latency(target, table))
        with noted(spent, "shrink"):
            small = nw.shrink(model, groups, keep)
        models = {"dense": model, "small": small}
        timings = time_models(models, example, backend=backend, threads=given.threads, rounds=given.rounds, warmup=3)
        dense, row = timings.rows
        counts = {name: int(mask.sum()) for name, mask in keep.items()}
        cost = table.cost(groups)
        rows.append(
            {
                "target": target,
                "seconds": spent,
                "predicted": round(cost(counts) / cost.dense, 4),
                "measured": round(row.ratio, 4),
                "interval": [round(row.low, 4), round(row.high, 4)],
                "dense_seconds": round(dense.median, 5),
                "parameters": round(
                    sum(map(torch.numel, small.parameters())) / sum(map(torch.numel, model.parameters())), 4
                ),
            }
        )
    return {"backend": backend, "seconds": seconds, "targets": rows}


def main() -> None:
    """Plan, measure, write."""
    given = arguments()
    torch.set_num_threads(given.threads)
    rows = []
    for backend in given.backends:
        rows.append(plan(given, backend))
        print(rows[-1], flush=True)
    write(f"plan_time_{given.network}", {"network": given.network, "size": given.size, "rows": rows})


if __name__ == "__main__":
    main()
