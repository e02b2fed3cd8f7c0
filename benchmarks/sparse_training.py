"""Accuracy of sparse training methods on CIFAR-10, at equal steps and at equal training FLOPs, three seeds.

Every cell is a run folder under --runs: a run that is finished is not repeated, one that was cut off goes on from its
checkpoint. So the table can be filled in pieces, and by several processes (give each its own --seeds):

    python benchmarks/sparse_training.py --data npz:DATA/cifar10.npz --densities 0.05 --seeds 0 1 2
    python benchmarks/sparse_training.py --collect

``rigl=`` is RigL with as many more steps as it takes to spend the training FLOPs of IEE. The switches of IEE were chosen
on the validation split, with seeds 0 and 1, see ``tuning`` in the result; test accuracy was not looked at for it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from record import write

from niwaki.app.progress import Silent
from niwaki.app.run import resume, train
from niwaki.app.settings import Settings

EVERY = {"every": 50}
IEE: dict[str, Any] = {
    "H": 23,
    "J": 23,
    "Q": 4,
    "explore_init": "zero",
    "grow_init": "zero",
    "explore_rate": 0.1,
    "decay": 2.5,
}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("dense", {}),
    "static": ("static", {}),
    "set": ("set", EVERY),
    "rigl": ("rigl", EVERY),
    "gmp": ("gmp", {"every": 25}),
    "acdc": ("acdc", {}),
    "iee": ("iee", IEE),
    "rigl=": ("rigl", EVERY),
}
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "no exploration": ("iee", IEE | {"Q": 0, "grow_init": "mru"}),
    "no freezing": ("iee", IEE | {"freeze": False}),
    "no improvement": ("iee", IEE | {"H": 46, "J": 0}),
    "grown from MRU": ("iee", IEE | {"explore_init": "mru_zero", "grow_init": "mru"}),
    "full rate": ("iee", IEE | {"explore_rate": 1.0}),
    "H=J=Q=6": ("iee", IEE | {"H": 6, "J": 6, "Q": 6}),
    "H=J=Q=17": ("iee", IEE | {"H": 17, "J": 17, "Q": 17}),
    "H=J=Q=34": ("iee", IEE | {"H": 34, "J": 34, "Q": 34}),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="", help="address of CIFAR-10, such as npz:DATA/cifar10.npz")
    parser.add_argument("--limit", type=int, default=10_000, help="class-balanced part of the training data")
    parser.add_argument("--model", default="zoo:resnet20")
    parser.add_argument("--densities", type=float, nargs="+", default=[0.05])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=[*METHODS, *ABLATIONS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/sparse_training"))
    parser.add_argument("--collect", action="store_true", help="only gather what is finished into results/")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many minutes")
    return parser.parse_args()


def folder(given: argparse.Namespace, name: str, density: float, seed: int) -> Path:
    model = given.model.partition(":")[2]
    length = f"{given.limit}x{given.epochs:g}"
    where: Path = given.runs / f"{model}-{length}" / f"{name.replace(' ', '-')}-{density:g}-{seed}"
    return where


def settings(given: argparse.Namespace, name: str, density: float, seed: int) -> Settings:
    method, switches = (METHODS | ABLATIONS)[name]
    epochs = given.epochs
    if name == "rigl=":
        spent = {
            other: json.loads((folder(given, other, density, seed) / "result.json").read_text())["flops"]
            for other in ("iee", "rigl")
        }
        epochs = epochs * spent["iee"] / spent["rigl"]
    return Settings(
        given.model,
        f"{given.data}?limit={given.limit}",
        method=method,
        density=1.0 if method == "dense" else density,
        epochs=epochs,
        batch=given.batch,
        lr=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        seed=seed,
        threads=given.threads,
        precision="bf16",
        channels_last=True,
        switches=switches,
    )


def run_all(given: argparse.Namespace) -> None:
    begun = time.monotonic()
    cells = [
        (name, density, seed)
        for seed in given.seeds
        for density in given.densities
        for name in given.methods
        if not (name == "dense" and density != given.densities[0])
    ]
    for name, density, seed in cells:
        if time.monotonic() - begun > 60 * given.minutes:
            break
        density = 1.0 if name == "dense" else density
        out = folder(given, name, density, seed)
        if (out / "result.json").exists():
            continue
        chosen = settings(given, name, density, seed)
        if (out / "checkpoint.json").exists():
            result = resume(out, {}, progress=Silent())
        else:
            result = train(chosen, out, overwrite=True, progress=Silent())
        print(f"{out.name}: {result['accuracy']:.4f} in {result['seconds']:.0f} s", flush=True)


def collect(given: argparse.Namespace) -> None:
    for family in sorted(path for path in given.runs.iterdir() if path.is_dir()):
        cells: dict[tuple[str, float], list[dict[str, Any]]] = {}
        for file in sorted(family.glob("*/result.json")):
            name, density, _ = file.parent.name.rsplit("-", 2)
            config = json.loads((file.parent / "config.json").read_text())
            cells.setdefault((name, float(density)), []).append(json.loads(file.read_text()) | {"config": config})
        rows = [summary(name, density, results) for (name, density), results in sorted(cells.items())]
        versions = json.loads((file.parent / "versions.json").read_text())
        ran_on = {key: versions[key] for key in ("machine", "threads", "torch")}
        print(write(f"sparse_training_{family.name}", {"ran_on": ran_on, "rows": rows}))


def summary(name: str, density: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    test = [100 * result["accuracy"] for result in results]
    config = results[0]["config"]
    return {
        "method": name,
        "density": density,
        "seeds": [result["config"]["seed"] for result in results],
        "test_accuracy": [round(value, 2) for value in test],
        "mean": round(statistics.mean(test), 2),
        "standard_deviation": round(statistics.stdev(test), 2) if len(test) > 1 else None,
        "valid_accuracy": [round(100 * result["valid_accuracy"], 2) for result in results],
        "steps": results[0]["steps"],
        "epochs": config["epochs"],
        "flops": results[0]["flops"],
        "seconds": [result["seconds"] for result in results],
        "switches": config["switches"],
    }


def main() -> None:
    given = arguments()
    if not given.collect:
        run_all(given)
    collect(given)


if __name__ == "__main__":
    main()
