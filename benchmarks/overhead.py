"""What the sparsifier adds to a training step, and the memory it takes.

Each round takes one step with the sparsifier and one without, on the same batch and from the same weights; the ratio of
the medians is the result. Steps of importance estimation with a gradient criterion and of exploration are timed apart.
Of the wide perceptron, whose weights are many for the work of a step, also the steps that change its structure.

    python benchmarks/overhead.py resnet20 [--rounds 40] [--threads 2]
    python benchmarks/overhead.py wide
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from record import write
from torch import nn
from torch.nn import functional as F

import niwaki as nw
from niwaki.measure import compare_times
from niwaki.zoo import resnet20

BATCH = 128
PRECISION = {"resnet20": "bf16 autocast", "wide": "fp32"}


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10))


def stepper(
    which: str, method: Callable[..., Any] | None, **switches: Any
) -> tuple[Callable[[], None], Any, nn.Module]:
    torch.manual_seed(0)
    model = wide() if which == "wide" else resnet20().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    sparsifier = None
    if method is not None:
        sparsifier = method(model, nw.weights(model), density=0.05, steps=100_000, **switches).attach(optimizer)
    x = torch.randn(BATCH, 784) if which == "wide" else torch.randn(BATCH, 3, 32, 32)
    x = x if which == "wide" else x.to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=which != "wide"):
            out = model(x)
        F.cross_entropy(out.float(), y).backward()
        optimizer.step()

    return step, sparsifier, model


def changes() -> dict[str, float]:
    """How many ordinary steps a step takes that changes the structure: a swap, or a move of IEE."""
    found = {}
    cases = {"rigl": (nw.rigl, {"every": 5}), "iee": (nw.iee, {"H": 4, "J": 4, "Q": 4})}
    for name, (method, switches) in cases.items():
        step, sparsifier, _ = stepper("wide", method, end=1.0, **switches)
        plain, changing = [], []
        for _ in range(120):
            before, start = len(sparsifier.history), time.perf_counter()
            step()
            took = time.perf_counter() - start
            if len(sparsifier.history) > before:
                changing.append(took)
            elif sparsifier.stage != "explore":
                plain.append(took)
        found[name] = statistics.median(changing) / statistics.median(plain)
        print(f"{name}: a change of structure takes {found[name]:.2f} steps", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="?", choices=tuple(PRECISION), default="resnet20")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cases: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "static": (nw.static, {}),
        "rigl, between updates": (nw.rigl, {"every": 50_000}),
        "iee, magnitude, outside exploration": (nw.iee, {"H": 30_000, "J": 10, "Q": 10}),
        "iee, Taylor, importance estimation": (nw.iee, {"H": 30_000, "J": 10, "Q": 10, "criterion": nw.Taylor()}),
        "iee, magnitude, exploration": (nw.iee, {"H": 1, "J": 0, "Q": 30_000}),
    }
    results = {}
    for name, (method, switches) in cases.items():
        with_it, sparsifier, model = stepper(given.which, method, **switches)
        with_it()
        without, _, plain = stepper(given.which, None)
        plain.load_state_dict(model.state_dict())
        ratio = compare_times(with_it, without, rounds=given.rounds, warmup=5)
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        results[name] = {
            **asdict(ratio),
            "stage": sparsifier.stage,
            "extra_bytes": sparsifier.extra_bytes,
            "extra_share_of_parameters": sparsifier.extra_bytes / weights,
        }
        print(f"{name:40s} ratio {ratio.ratio:.3f} (quartile spread {ratio.spread:.3f})", flush=True)
    record = {"model": given.which, "batch": BATCH, "precision": PRECISION[given.which], "steps": results}
    if given.which == "wide":
        record["changes"] = changes()
    print(write("overhead" if given.which == "resnet20" else f"overhead_{given.which}", record))


if __name__ == "__main__":
    main()
