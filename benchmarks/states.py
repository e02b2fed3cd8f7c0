"""Accuracy of state-space models after their states are pruned, against the share that was removed, without retraining.

Every network is trained once for each seed and pruned by every method at every ratio. What the results file holds
already is not repeated, so a table can be filled in pieces:

    python benchmarks/states.py digits --models s5 s4d
    python benchmarks/states.py fashion --data npz:DATA/fashion_mnist.npz
    python benchmarks/states.py rows --data npz:DATA/cifar10.npz
    python benchmarks/states.py listops

``digits`` reads 8 x 8 pictures pixel by pixel, ``fashion`` and ``mnist`` pictures of 14 x 14, ``rows`` grey CIFAR-10
one row of 32 pixels a step. ``uniform`` takes the same share from every layer, ``global`` ranks all layers together.
``by rank`` sorts the states of each S4D channel first and cuts the same rank from all channels; the other methods mask
single states of S4D channels. ``eps = 1 / T^2`` caps what a state can resound to the length ``T`` of the sequences.
``s5-uneven`` has layers of 16, 32, 64 and 128 states.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from record import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional as F

import niwaki as nw
from niwaki import zoo
from niwaki.app.data import load_data, ready
from niwaki.zoo.listops import listops_parts

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
H, ENERGY = nw.HInfinity(), nw.H2()
METHODS: dict[str, tuple[Any, Any]] = {
    "LAST": (nw.TailShare(H), nw.Global()),
    "LAST, eps = 1 / T^2": (None, nw.Global()),
    "H2": (nw.TailShare(ENERGY), nw.Global()),
    "LAST, reference code": (nw.TailShare(nw.HInfinity(reference=True)), nw.Global()),
    "uniform H-infinity": (H, nw.Uniform()),
    "global H-infinity": (H, nw.Global()),
    "uniform H2": (ENERGY, nw.Uniform()),
    "global magnitude": (nw.Magnitude(), nw.Global()),
    "LAMP magnitude": (nw.Lamp(), nw.Global()),
    "Taylor": (nw.Taylor(), nw.Global()),
    "random": (nw.Random(), nw.Global()),
}
BY_RANK = ("LAST, by rank", "H2, by rank")
ONCE = ("LAST, eps = 1 / T^2", "LAST, reference code", "uniform H2")  # not retrained
DRAWS = 3


@dataclass(frozen=True)
class Task:
    """How much data, and for how long."""

    train: int
    test: int
    epochs: int
    time: int
    channels: int = 1
    tokens: int = 0
    rate: float = 1e-2


TASKS = {
    "digits": Task(1257, 360, 30, 64),
    "rows": Task(6000, 1000, 10, 32, channels=32),
    "fashion": Task(3000, 1000, 8, 196),
    "mnist": Task(3000, 1000, 8, 196),
    "listops": Task(4000, 1000, 12, 60, tokens=16),
}
Part = tuple[Tensor, Tensor]
Masks = Mapping[str, Tensor]


def parts(name: str, address: str | None) -> tuple[Part, Part]:
    """The training and the test part, as the network takes them."""
    task = TASKS[name]
    if name == "listops":
        train, _, test = listops_parts(task.train, 1, task.test, shortest=8, longest=60)
        return train, test
    limit = "" if name == "digits" else f"?limit={task.train}"
    data = load_data((address or name) + limit)

    def prepared(pair: Part, count: int) -> Part:
        x = ready(data, pair[0][:count])
        if name == "rows":
            x = x.mean(1)
        elif name != "digits":
            x = F.avg_pool2d(x, 2)
        return x, pair[1][:count]

    return prepared(data.train, task.train), prepared(data.test, task.test)


def network(kind: str, task: Task) -> nn.Module:
    shared: dict[str, Any] = {"channels": task.channels, "tokens": task.tokens, "norm": "batch", "dropout": 0.1}
    if kind == "s4d":
        return zoo.s4d(width=32, states=32, layers=4, **shared)
    states = 64 if kind == "s5" else (16, 32, 64, 128)
    return zoo.s5(width=32, states=states, layers=4, bidirectional=True, **shared)


@torch.no_grad()
def mask(model: nn.Module, masks: Masks) -> None:
    for name, zeros in masks.items():
        model.get_parameter(name).mul_(zeros)


def train(
    model: nn.Module, part: Part, task: Task, epochs: int, rate: float, seed: int, *, held: Masks | None = None
) -> None:
    """``held`` are masks that are put on after every step."""
    names = {"lambda_re", "lambda_im", "log_step", "B", "log_a_real", "a_imag"}
    slow = [p for n, p in model.named_parameters() if n.rpartition(".")[2] in names]
    mine = {id(p) for p in slow}
    fast = [p for p in model.parameters() if id(p) not in mine]
    optimizer = torch.optim.AdamW(
        [{"params": slow, "lr": rate / 4, "weight_decay": 0.0}, {"params": fast, "lr": rate}], weight_decay=0.05
    )
    x, y = part
    steps = epochs * (len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [rate / 4, rate], total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for batch in order[: len(x) // 64 * 64].split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
            mask(model, held or {})
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, part: Part) -> float:
    right = sum(
        int((model(x).argmax(1) == y).sum()) for x, y in zip(part[0].split(250), part[1].split(250), strict=True)
    )
    return 100 * right / len(part[1])


def pruned(model: nn.Module, groups: nw.Groups, keep: dict[str, Tensor]) -> tuple[nn.Module, Masks]:
    """The smaller model; or a masked one, with its masks, where single states of channels leave."""
    if all(where.dim is not None for group in groups for where in group.slices):
        return nw.shrink(model, groups, keep), {}
    found, masks = copy.deepcopy(model), nw.tensor_masks(groups, keep)
    mask(found, masks)
    return found, masks


@dataclass(frozen=True, eq=False)
class Choice:
    """A method on a trained network: it says which states stay."""

    model: nn.Module
    groups: nw.Groups
    name: str
    data: tuple[Part, Part]
    task: Task

    def __call__(self, ratio: float, draw: int = 0) -> dict[str, Tensor]:
        """The states that stay."""
        criterion, allocator = METHODS[self.name.removesuffix(", by rank")]
        criterion = criterion or nw.TailShare(nw.HInfinity(eps=1 / self.task.time**2))
        x, y = (t[:512] for t in self.data[0])
        batches = list(zip(x.split(64), y.split(64), strict=True))
        chance = torch.Generator().manual_seed(draw)
        scores = nw.score(
            criterion, self.model, self.groups, batches, F.cross_entropy,
            generator=chance, per_batch=self.name == "Taylor",
        )  # fmt: skip
        keep: dict[str, Tensor] = allocator(self.groups, scores, 1 - ratio)
        return keep


def sweep(choice: Choice) -> dict[str, Any]:
    """Accuracy at every ratio, and how many states each layer keeps."""
    found, counts = [], []
    for ratio in RATIOS:
        hits = []
        for draw in range(DRAWS if choice.name == "random" else 1):
            keep = choice(ratio, draw)
            hits.append(accuracy(pruned(choice.model, choice.groups, keep)[0], choice.data[1]))
        found.append(statistics.mean(hits))
        counts.append([int(row.sum()) for row in keep.values()])
    return {"accuracy": found, "kept": counts}


def retrained(choice: Choice) -> dict[str, float]:
    """Accuracy after one epoch at a quarter of the rate; masked states stay masked meanwhile."""
    found, task = {}, choice.task
    for ratio in (0.5, 0.7, 0.9):
        small, masks = pruned(choice.model, choice.groups, choice(ratio))
        train(small, choice.data[0], task, 1, task.rate / 4, 0, held=masks)
        found[str(ratio)] = accuracy(small, choice.data[1])
    return found


def wanted(kind: str) -> list[str]:
    return [*METHODS, *(BY_RANK if kind == "s4d" else ())]


def missing(kind: str, old: dict[str, Any]) -> dict[str, list[str]]:
    """What an older result does not hold yet."""
    names = {"sweeps": wanted(kind), "one_epoch": [m for m in wanted(kind) if m not in ONCE]}
    return {part: [m for m in all_of_them if m not in old.get(part, {})] for part, all_of_them in names.items()}


def cell(name: str, kind: str, seed: int, data: tuple[Part, Part], old: dict[str, Any]) -> dict[str, Any]:
    """One trained network, pruned in every way that an older result does not hold yet."""
    task = TASKS[name]
    torch.manual_seed(seed)
    model, start = network(kind, task), time.perf_counter()
    train(model, data[0], task, task.epochs, task.rate, seed)
    seconds = time.perf_counter() - start
    dense = accuracy(model, data[1])
    groups = nw.states(model, per_channel=kind == "s4d")
    print(f"{name} {kind} seed {seed}: {dense:.2f} % after {seconds:.0f} s", flush=True)

    def choice(method: str) -> Choice:
        if method not in BY_RANK:
            return Choice(model, groups, method, data, task)
        ranked, criterion = copy.deepcopy(model), METHODS[method.removesuffix(", by rank")][0].criterion
        nw.align_states(ranked, groups, nw.score(criterion, ranked, groups))
        return Choice(ranked, nw.states(ranked), method, data, task)

    if old.get("dense") != dense:
        old = {}  # another machine may train another network; its results are not mixed with this one's
    left = missing(kind, old)
    sweeps = old.get("sweeps", {}) | {method: sweep(choice(method)) for method in left["sweeps"]}
    again = old.get("one_epoch", {}) | {method: retrained(choice(method)) for method in left["one_epoch"]}
    in_order = [m for m in wanted(kind) if m in again]
    return {
        "task": name, "model": kind, "seed": seed, "dense": dense, "training_seconds": seconds,
        "sweeps": {method: sweeps[method] for method in wanted(kind)},
        "one_epoch": {method: again[method] for method in in_order}, "settings": asdict(task),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--models", nargs="+", default=["s5"], choices=["s5", "s5-uneven", "s4d"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--data", help="address of the pictures, such as npz:DATA/fashion_mnist.npz")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = None
    for kind in given.models:
        for seed in given.seeds:
            file = RESULTS / "states.json"
            rows = json.loads(file.read_text())["rows"] if file.exists() else []
            old: dict[str, Any] = next(
                (r for r in rows if (r["task"], r["model"], r["seed"]) == (given.task, kind, seed)), {}
            )
            if old and not any(missing(kind, old).values()):
                continue
            data = data or parts(given.task, given.data)
            rows = [row for row in rows if row is not old]
            rows.append(cell(given.task, kind, seed, data, old))
            rows.sort(key=lambda row: (row["task"], row["model"], row["seed"]))
            write("states", {"ratios": RATIOS, "random_draws": DRAWS, "rows": rows})


if __name__ == "__main__":
    main()
