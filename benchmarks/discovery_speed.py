"""Seconds of the processor for finding groups, beside Torch-Pruning's dependency graph: torchvision's classifiers.

    python benchmarks/discovery_speed.py

Both take the same network in the same process, in turns; what is told is the median of each and their ratio. Ours
includes the proof on a smaller copy, the other's is its graph alone. A network that either cannot take is named.
"""

from __future__ import annotations

import argparse
import gc
import math
import signal
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from record import write
from torch import nn

import niwaki as nw


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=float, default=20, help="seconds of the processor after which one gives up")
    parser.add_argument("--networks", nargs="+", help="only these")
    return parser.parse_args()


def seconds(run: Callable[[nn.Module, torch.Tensor], None], model: nn.Module, example: torch.Tensor,
            limit: float) -> float:  # fmt: skip
    """Seconds of the processor; a `TimeoutError` past the limit."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"not done in {limit:g} s of the processor")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, limit)
    try:
        start = time.process_time()
        run(model, example)
        return time.process_time() - start
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def ours(model: nn.Module, example: torch.Tensor) -> None:
    nw.discover(model, example)


def theirs(model: nn.Module, example: torch.Tensor) -> None:
    import torch_pruning as tp

    tp.DependencyGraph().build_dependency(model, example_inputs=example)


def measured(name: str, rounds: int, limit: float) -> dict[str, Any]:
    import torchvision

    plain: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, **plain).eval()
    size = 299 if name == "inception_v3" else 224
    example, found = torch.zeros(1, 3, size, size), {"ours": list[float](), "torch_pruning": list[float]()}
    for _ in range(rounds):
        for who, run in (("ours", ours), ("torch_pruning", theirs)):
            gc.collect()
            try:
                found[who].append(seconds(run, model, example, limit))
            except Exception as error:  # whatever it raises is what is recorded
                return {"fails": who, "why": f"{type(error).__name__}: {str(error)[:120]}"}
    mine, other = (statistics.median(found[who]) for who in ("ours", "torch_pruning"))
    return {"ours": round(mine, 4), "torch_pruning": round(other, 4), "ratio": round(mine / other, 3)}


def summary(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    ratios = [row["ratio"] for row in rows.values() if "ratio" in row]
    return {
        "networks": len(rows),
        "both_play": len(ratios),
        "not_slower": sum(ratio <= 1 for ratio in ratios),
        "geometric_mean": round(math.exp(statistics.fmean(map(math.log, ratios))), 3) if ratios else None,
        "median": round(statistics.median(ratios), 3) if ratios else None,
    }


def main() -> None:
    import torchvision

    given = arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # The first use of either loads half of torch; that is not what is measured.
    tiny = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    ours(tiny, torch.zeros(1, 4))
    theirs(tiny, torch.zeros(1, 4))
    rows: dict[str, dict[str, Any]] = {}
    for name in given.networks or torchvision.models.list_models(module=torchvision.models):
        rows[name] = measured(name, given.rounds, given.limit)
        print(name, rows[name], flush=True)
        path = write("discovery_speed", {"summary": summary(rows), "networks": rows})
    print(summary(rows), path)


if __name__ == "__main__":
    main()
