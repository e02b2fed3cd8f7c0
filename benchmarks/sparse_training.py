"""Accuracy of sparse training methods, at equal steps and at equal training FLOPs, with spread over seeds.

Every cell is a run folder under --runs: a run that is finished is not repeated, one that was cut off goes on from its
checkpoint. What the results file already holds is not repeated either. So a table can be filled in pieces, on several
machines, and by several processes (give each its own --seeds):

    python benchmarks/sparse_training.py digits --seeds 0 1 2 3 4 5 6 7 8 9
    python benchmarks/sparse_training.py fashion --data npz:DATA/fashion_mnist.npz
    python benchmarks/sparse_training.py cifar --data npz:DATA/cifar10.npz --densities 0.05

``iee, dense start`` is IEE that reaches its density over the first quarter of the run instead of starting there.
``rigl = ...`` is RigL with as many more steps as it takes to spend the training FLOPs of the method named.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from record import RESULTS, over_seeds, write
from rich.console import Console

from niwaki.app.progress import Silent
from niwaki.app.run import resume, train
from niwaki.app.settings import Settings

RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"model": "zoo:mlp?widths=64,128,64,10", "data": "digits", "steps": 1200, "batch": 64},
    "fashion": {"model": "zoo:lenet300", "epochs": 8, "batch": 128, "weight_decay": 1e-4},
    "cifar": {"model": "zoo:resnet20", "epochs": 10, "batch": 64, "precision": "bf16", "channels_last": True},
}
EVERY = {"every": 50}
PER_SEED = ("test_accuracy", "valid_accuracy", "seconds")
SHARED = ("steps", "epochs", "flops", "dense_runs", "switches", "threads")
PAPER = {"explore_init": "mru_zero", "grow_init": "mru", "explore_rate": 1.0, "decay": 5.0}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("dense", {}),
    "static": ("static", {}),
    "set": ("set", EVERY),
    "rigl": ("rigl", EVERY),
    "gmp": ("gmp", {"every": 25}),
    "acdc": ("acdc", {}),
    "iee": ("iee", {}),
    "iee, dense start": ("iee", {"reach": 0.25}),
    "rigl = iee": ("rigl", EVERY),
    "rigl = iee, dense start": ("rigl", EVERY),
}
ABLATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "iee, no exploration": ("iee", {"H": 50, "J": 50, "Q": 0, "grow_init": "mru"}),
    "iee, no freezing": ("iee", {"freeze": False}),
    "iee, no improvement": ("iee", {"H": 90, "J": 0}),
    "iee, full rate": ("iee", {"explore_rate": 1.0}),
    "iee, grown at MRU": ("iee", {"grow_init": "mru"}),
    "iee, explored from MRU": ("iee", {"explore_init": "mru_zero", "grow_init": "mru"}),
    "iee, all of the paper's": ("iee", PAPER | {"H": 33, "J": 33, "Q": 33}),
    "iee, H=J=Q=11": ("iee", {"H": 11, "J": 11, "Q": 11}),
    "iee, H=J=Q=33": ("iee", {"H": 33, "J": 33, "Q": 33}),
    "iee, H=J=Q=66": ("iee", {"H": 66, "J": 66, "Q": 66}),
    "iee, short exploration": ("iee", {"H": 24, "J": 24, "Q": 2}),
    "iee, long cycle": ("iee", {"H": 95, "J": 95, "Q": 10}),
    "iee, early end": ("iee", {"end": 0.4}),
    "iee, Taylor": ("iee", {"criterion": "taylor"}),
    "iee, global": ("iee", {"scope": "global", "normalise": "layer_l2"}),
}
CELLS = METHODS | ABLATIONS | {f"rigl = {name}": ("rigl", EVERY) for name in ABLATIONS}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=list(RECIPES))
    parser.add_argument("--data", help="address of the data, such as npz:DATA/cifar10.npz")
    parser.add_argument("--limit", type=int, help="class-balanced part of the training data; 10,000 for cifar")
    parser.add_argument("--model", help="another network, such as zoo:wide_resnet22_2")
    parser.add_argument("--densities", type=float, nargs="+", default=[0.05])
    parser.add_argument("--methods", nargs="+", choices=CELLS, metavar="METHOD")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ablations", action="store_true", help="the ablations of IEE instead of the methods")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="another one: a table of its own")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/sparse_training"))
    parser.add_argument("--collect", action="store_true", help="only gather what is finished into results/")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after so many minutes")
    given = parser.parse_args()
    given.methods = given.methods or list(ABLATIONS if given.ablations else METHODS)
    given.limit = given.limit or (10_000 if given.recipe == "cifar" else None)
    return given


def recipe(given: argparse.Namespace) -> dict[str, Any]:
    chosen = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4} | RECIPES[given.recipe]
    asked = {"model": given.model, "data": given.data, "epochs": given.epochs, "precision": given.precision}
    chosen |= {key: value for key, value in asked.items() if value is not None}
    if given.limit and "data" in chosen:
        chosen["data"] += f"?limit={given.limit}"
    return chosen


def family(given: argparse.Namespace) -> str:
    chosen = recipe(given)
    network = chosen["model"].partition(":")[2].partition("?")[0]
    length = f"{chosen['epochs']:g}-epochs" if "epochs" in chosen else f"{chosen['steps']}-steps"
    parts = [given.recipe, network, *([f"{given.limit}-images"] if given.limit else []), length]
    # Runs in another precision do not stand in one row: seeds would differ by more than the seed.
    return "-".join([*parts, given.precision] if given.precision else parts)


def folder(given: argparse.Namespace, name: str, density: float, seed: int) -> Path:
    where: Path = given.runs / family(given) / f"{name}@{density:g}@{seed}"
    return where


def settings(given: argparse.Namespace, name: str, density: float, seed: int) -> Settings:
    method, switches = CELLS[name]
    chosen = recipe(given)
    length = "epochs" if "epochs" in chosen else "steps"
    if name.startswith("rigl ="):
        known = finished(given)
        spent = {other: known[other, density, seed]["flops"] for other in (name.removeprefix("rigl = "), "rigl")}
        more = chosen[length] * spent[name.removeprefix("rigl = ")] / spent["rigl"]
        chosen[length] = round(more) if length == "steps" else more
    if "reach" in switches:
        steps = finished(given)["rigl", density, seed]["steps"]
        switches = switches | {"reach": round(switches["reach"] * steps)}
    return Settings(method=method, density=density, seed=seed, threads=given.threads, switches=switches, **chosen)


def finished(given: argparse.Namespace) -> dict[tuple[str, float, int], dict[str, Any]]:
    """Every finished cell: those of the results file, and over them those of the runs folder."""
    cells: dict[tuple[str, float, int], dict[str, Any]] = {}
    results = RESULTS / f"sparse_training_{family(given)}.json"
    for row in json.loads(results.read_text())["rows"] if results.exists() else []:
        for place, seed in enumerate(row["seeds"]):
            own = {key: row[key][place] for key in PER_SEED}
            cells[row["method"], row["density"], seed] = {key: row[key] for key in SHARED} | own
    for file in sorted((given.runs / family(given)).glob("*/result.json")):
        name, density, seed = file.parent.name.rsplit("@", 2)
        cells[name, float(density), int(seed)] = cell(file)
    return cells


def cell(file: Path) -> dict[str, Any]:
    result, config = json.loads(file.read_text()), json.loads((file.parent / "config.json").read_text())
    shared = {key: (config if key in ("epochs", "switches", "threads") else result)[key] for key in SHARED}
    return shared | {
        "test_accuracy": round(100 * result["accuracy"], 2),
        "valid_accuracy": round(100 * result["valid_accuracy"], 2),
        "seconds": result["seconds"],
    }


def run_all(given: argparse.Namespace) -> None:
    begun, heard = time.monotonic(), Silent(Console(stderr=True))  # of notes, such as of a precision that is slow here
    cells = [
        (name, 1.0 if name == "dense" else density, seed)
        for seed in given.seeds
        for density in given.densities
        for name in given.methods
        if not (name == "dense" and density != given.densities[0])
    ]
    for name, density, seed in cells:
        if time.monotonic() - begun > 60 * given.minutes:
            break
        if (name, density, seed) in finished(given):
            continue
        out = folder(given, name, density, seed)
        chosen = settings(given, name, density, seed)
        if (out / "checkpoint.json").exists():
            result = resume(out, {}, progress=heard)
        else:
            result = train(chosen, out, overwrite=True, progress=heard)
        print(f"{out.name}: {result['accuracy']:.4f} in {result['seconds']:.0f} s", flush=True)


def collect(given: argparse.Namespace) -> None:
    rows: dict[tuple[str, float], dict[int, dict[str, Any]]] = {}
    for (name, density, seed), found in finished(given).items():
        rows.setdefault((name, density), {})[seed] = found
    order = list(CELLS)
    listed = sorted(rows.items(), key=lambda row: (-row[0][1], order.index(row[0][0])))
    result = {
        "recipe": recipe(given) | {"data": given.recipe},
        "rows": [summary(name, density, cells) for (name, density), cells in listed],
    }
    print(write(f"sparse_training_{family(given)}", result))


def summary(name: str, density: float, cells: dict[int, dict[str, Any]]) -> dict[str, Any]:
    seeds = sorted(cells)
    test = [cells[seed]["test_accuracy"] for seed in seeds]
    return {
        "method": name,
        "density": density,
        "seeds": seeds,
        **over_seeds(test),
        **{key: [cells[seed][key] for seed in seeds] for key in PER_SEED},
        **{key: cells[seeds[0]][key] for key in SHARED},
    }


def main() -> None:
    given = arguments()
    if not given.collect:
        run_all(given)
    collect(given)


if __name__ == "__main__":
    main()
