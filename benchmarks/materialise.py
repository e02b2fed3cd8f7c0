"""What materialise=True saves: the time of a training step of ResNet-20, masked and really smaller, in turns.

Both runs keep the same channels (a share of every group) and train on the same batch; a dense run stands beside them.
The time of one change of the structure (whole again, cut again) is measured apart.

    python benchmarks/materialise.py [--rounds 20] [--threads 1] [--batch 128] [--width 16]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from record import write
from torch.nn import functional as F

import niwaki as nw
from niwaki.measure.timing import time_in_turns
from niwaki.zoo import resnet20


def stepper(arguments: argparse.Namespace, share: float, *, materialise: bool) -> tuple[Callable[[], None], Any]:
    torch.manual_seed(0)
    model = resnet20(width=arguments.width).to(memory_format=torch.channels_last).train()
    groups = nw.channels(model, model.example())
    keep = {g.name: torch.arange(g.size) < max(1, round(share * g.size)) for g in groups}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    sparsifier = nw.Sparsifier(model, groups, nw.Plan(keep, materialise=materialise)).attach(optimizer)
    x = torch.randn(arguments.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (arguments.batch,))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    step()  # the first step is that of the whole model
    return step, sparsifier


def seconds_of_change(sparsifier: Any, rounds: int) -> float:
    found = []
    for _ in range(rounds):
        since = time.perf_counter()
        with sparsifier.whole():
            pass
        found.append(time.perf_counter() - since)
    return statistics.median(found)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(values, n=4)
    return low, middle, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--width", type=int, default=16)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {}
    for share in (0.5, 0.4, 0.3):
        masked, _ = stepper(arguments, share, materialise=False)
        small, sparsifier = stepper(arguments, share, materialise=True)
        dense, _ = stepper(arguments, 1.0, materialise=False)
        calls = {"dense": dense, "masked": masked, "materialised": small}
        seconds = time_in_turns(calls, rounds=arguments.rounds, warmup=3)
        ratios = [b / a for a, b in zip(seconds["masked"], seconds["materialised"], strict=True)]
        results[f"{share}"] = {
            "seconds": {name: quartiles(values) for name, values in seconds.items()},
            "ratio": quartiles(ratios),
            "counted": sparsifier.ledger.dense_runs(),
            "seconds_of_change": seconds_of_change(sparsifier, 10),
        }
        print(
            f"density {share}: materialised / masked {statistics.median(ratios):.3f}, FLOPs against dense "
            f"{sparsifier.ledger.dense_runs():.3f}, a change takes {results[f'{share}']['seconds_of_change']:.3f} s "
            f"(masked step {statistics.median(seconds['masked']):.3f} s)",
            flush=True,
        )
    what = {"model": "zoo:resnet20", "width": arguments.width, "batch": arguments.batch, "precision": "float32"}
    print(write("materialise", {**what, "densities": results}))


if __name__ == "__main__":
    main()
