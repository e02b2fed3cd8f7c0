"""SMCP with and without rescaled norms: two readings of a step whose formula was not found.

The paper rescales the weights of the norms as channels vanish, so that gradients do not grow at high ratios. What a
norm divides by falls with the inputs that its convolution loses; both readings multiply the norm's weight by the square
root of what is left, at every rewiring by as much as that changed: ``inputs`` counts the inputs that are left (the
convolution's inputs alike), ``weights`` takes, filter by filter, the share of the squared weights that are left.

    python benchmarks/smcp_norms.py --data DATA --seeds 0 1 2

Networks, data, steps and rates are those of structured_training.py; finished cells are not redone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import put, write
from structured_latency import SETTINGS
from structured_training import accuracy, budget_of, network_of, sparsifier_of, train
from torch import Tensor, nn

import niwaki as nw
from niwaki.app.data import load_data

READINGS = ("none", "inputs", "weights")


def norms_behind(model: nn.Module, x: Tensor) -> dict[str, str]:
    """The name of the norm that reads each convolution's output, by the convolution's name."""
    made: dict[int, tuple[str, Tensor]] = {}  # holds the tensors, so that no two share an id
    found, handles = {}, []

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                made[id(output)] = (name, output)
            elif id(inputs[0]) in made:
                found[made[id(inputs[0])][0]] = name

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            handles.append(module.register_forward_hook(note(name)))
    with torch.no_grad():
        model.eval()(x)
    for handle in handles:
        handle.remove()
    return found


def left(reading: str, weight: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
    """How much of what a norm divided by is left, squared: one number, or one a filter."""
    if reading == "inputs":
        return mask.float().mean()
    whole = torch.where(mask, weight, hidden).flatten(1).square().sum(1)
    return weight.flatten(1).square().sum(1) / whole.clamp_min(1e-12)


class Rescaling:
    """After each rewiring, multiplies the norms' weights by the square root of what changed."""

    def __init__(self, model: nn.Module, sparsifier: nw.Sparsifier, reading: str, x: Tensor) -> None:
        self.sparsifier, self.reading, self.seen = sparsifier, reading, 0
        modules = dict(model.named_modules())
        masks = sparsifier.masks()
        self.pairs = {
            f"{conv}.weight": (modules[conv].weight, modules[norm].weight)
            for conv, norm in norms_behind(model, x).items()
            if f"{conv}.weight" in masks
        }
        self.before = {name: torch.ones(()) for name in self.pairs}

    @torch.no_grad()
    def __call__(self, *_: Any) -> None:
        """Takes what hooks of an optimizer are given, and needs none of it."""
        if len(self.sparsifier.history) == self.seen:
            return
        self.seen = len(self.sparsifier.history)
        masks, hidden = self.sparsifier.masks(), self.sparsifier.state_dict()["memory"]
        for name, (weight, scale) in self.pairs.items():
            now = left(self.reading, weight, hidden[name], masks[name])
            scale.mul_((now / self.before[name]).clamp_min(1e-12).sqrt())
            self.before[name] = now


def run_cell(given: argparse.Namespace, reading: str, target: float, seed: int) -> dict[str, Any]:
    """One trained network under SMCP, its norms rescaled or not."""
    setting = SETTINGS[given.network]
    data = load_data(f"npz:{given.data / setting.pictures}?limit={given.limit}")
    model, picture = network_of(given, given.network, "smcp", seed).eval(), torch.zeros(1, *setting.image)
    groups = [replace(g, multiple_of=given.chunk) for g in nw.channels(model, picture)]
    budget = budget_of(given, model, target, picture)
    sparsifier = sparsifier_of("smcp", model, groups, given, budget=budget, seed=seed)

    def attach(optimizer: torch.optim.Optimizer) -> None:
        sparsifier.attach(optimizer)
        if reading != "none":  # hooks run in the order they came: this one after the sparsifier's
            optimizer.register_step_post_hook(Rescaling(model, sparsifier, reading, picture))

    train(model, data, given, seed, rate=given.rate, attach=attach)
    sparsifier.detach()
    small = nw.shrink(model, groups, sparsifier.keep).eval()
    return {"reading": reading, "target": target, "seed": seed, "accuracy": accuracy(small, data)}


def main() -> None:
    """Fill the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", choices=SETTINGS, default="resnet20")
    parser.add_argument("--targets", type=float, nargs="+", default=[0.3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=0.02)
    parser.add_argument("--chunk", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/smcp_norms"))
    parser.set_defaults(start="trained", prices="latency", materialise=False)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rows = []
    for seed in given.seeds:
        for target in given.targets:
            for reading in READINGS:
                file = given.runs / f"{given.network}@{given.steps}@{reading}@{target:g}@{seed}.json"
                if not file.exists():
                    put(file, run_cell(given, reading, target, seed))
                rows.append(json.loads(file.read_text()))
                print(rows[-1], flush=True)
    conditions = {key: getattr(given, key) for key in ("network", "limit", "steps", "rate", "chunk", "threads")}
    print(write("smcp_norms", {**conditions, "rows": rows}))


if __name__ == "__main__":
    main()
