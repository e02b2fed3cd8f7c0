"""What the sparsifier adds to a training step of ResNet-20, and the memory it takes.

Each round takes one step with the sparsifier and one without, on the same batch and from the same weights; the ratio of
the medians is the result. Steps of importance estimation with a gradient criterion and of exploration are timed apart.

    python benchmarks/overhead.py [--rounds 40] [--threads 2]
"""

from __future__ import annotations

import argparse
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


def stepper(method: Callable[..., Any] | None, **switches: Any) -> tuple[Callable[[], None], Any, nn.Module]:
    torch.manual_seed(0)
    model = resnet20().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9, weight_decay=5e-4)
    sparsifier = None
    if method is not None:
        sparsifier = method(model, nw.weights(model), density=0.05, steps=100_000, **switches).attach(optimizer)
    x = torch.randn(BATCH, 3, 32, 32).to(memory_format=torch.channels_last)
    y = torch.randint(0, 10, (BATCH,))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = model(x)
        F.cross_entropy(out.float(), y).backward()
        optimizer.step()

    return step, sparsifier, model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "static": (nw.static, {}),
        "rigl, between updates": (nw.rigl, {"every": 50_000}),
        "iee, magnitude, outside exploration": (nw.iee, {"H": 30_000, "J": 10, "Q": 10}),
        "iee, Taylor, importance estimation": (nw.iee, {"H": 30_000, "J": 10, "Q": 10, "criterion": nw.Taylor()}),
        "iee, magnitude, exploration": (nw.iee, {"H": 1, "J": 0, "Q": 30_000}),
    }
    results = {}
    for name, (method, switches) in cases.items():
        with_it, sparsifier, model = stepper(method, **switches)
        with_it()
        without, _, plain = stepper(None)
        plain.load_state_dict(model.state_dict())
        ratio = compare_times(with_it, without, rounds=arguments.rounds, warmup=5)
        weights = sum(p.numel() * p.element_size() for p in model.parameters())
        results[name] = {
            **asdict(ratio),
            "stage": sparsifier.stage,
            "extra_bytes": sparsifier.extra_bytes,
            "extra_share_of_parameters": sparsifier.extra_bytes / weights,
        }
        print(f"{name:40s} ratio {ratio.ratio:.3f} (quartile spread {ratio.spread:.3f})", flush=True)
    print(write("overhead", {"model": "zoo:resnet20", "batch": BATCH, "precision": "bf16 autocast", "steps": results}))


if __name__ == "__main__":
    main()
