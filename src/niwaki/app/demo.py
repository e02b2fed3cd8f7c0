"""The demo: digits, a small network, three ways to train it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from .progress import Shown
from .run import train
from .settings import Settings

METHODS = ("dense", "rigl", "iee")
TITLES = {"dense": "dense", "rigl": "RigL", "iee": "IEE"}


def demo_settings(method: str, seed: int, *, density: float, steps: int) -> Settings:
    """The settings of one run of the demo."""
    return Settings(
        model="zoo:mlp?widths=64,128,64,10",
        data="digits",
        method=method,
        density=density,
        steps=steps,
        batch=64,
        lr=0.1,
        weight_decay=1e-4,
        seed=seed,
        device="cpu",
        threads=1,  # more only get in the way of a network this small
        checkpoint_every=steps,
    )


def run_demo(
    out: Path, progress: Shown, *, seeds: int = 3, steps: int = 1200, density: float = 0.05, overwrite: bool = False
) -> dict[str, Any]:
    """Train a perceptron on digits: dense, with RigL, with IEE.

    Args:
        out: the folder; each run gets one inside.
        progress: shows where the runs stand.
        seeds: how many runs of each method.
        steps: optimizer steps of each run.
        density: the share of the weights that stays, of the two sparse methods.
        overwrite: replace runs of an earlier demo.

    Returns:
        The folders of the runs, and per method means over the seeds.
    """
    rows, folders = [], []
    for method in METHODS:
        results = []
        for seed in range(seeds):
            folder = out / f"{method}-{seed}"
            settings = demo_settings(method, seed, density=density, steps=steps)
            results.append(train(settings, folder, overwrite=overwrite, progress=progress, command="niwaki demo"))
            folders.append(str(folder))
        rows.append(_row(method, results))
    return {"runs": folders, "methods": rows}


def _row(method: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    accuracies = [result["accuracy"] for result in results]
    costs = [result["dense_runs"] for result in results if result["dense_runs"] is not None]
    return {
        "method": method,
        "accuracy": mean(accuracies),
        "lowest": min(accuracies),
        "highest": max(accuracies),
        "density": mean(result["density"] for result in results),
        "weights_kept": results[0]["weights_kept"],
        "dense_runs": mean(costs) if costs else None,
        "seconds": mean(result["seconds"] for result in results),
        "seeds": len(results),
    }


def show(found: dict[str, Any], report: Path, console: Console) -> None:
    """Print the comparison, and what it does and does not show.

    Args:
        found: from `run_demo`.
        report: where the report is.
        console: where to.
    """
    seeds = found["methods"][0]["seeds"]
    table = Table(title=f"Handwritten digits, a perceptron 64-128-64-10, {seeds} seed{'s' if seeds > 1 else ''} each")
    for column in ("method", "test accuracy", "lowest to highest", "density", "weights", "training FLOPs", "seconds"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for row in found["methods"]:
        cost = "unknown" if row["dense_runs"] is None else f"{row['dense_runs']:.2f} x dense"
        table.add_row(
            TITLES[row["method"]],
            f"{row['accuracy']:.1%}",
            f"{row['lowest']:.1%} to {row['highest']:.1%}",
            f"{row['density']:.1%}",
            f"{row['weights_kept']:,}",
            cost,
            f"{row['seconds']:.1f}",
        )
    console.print(table)
    console.print(
        "How to read this: the test part has 359 images, so one image is 0.28 points and the chance alone of which "
        "images were drawn gives a standard error of about 1 point. Differences of that size between the methods mean "
        "nothing here. All runs take the same number of steps; IEE explores in dense passes, and so it costs more than "
        "RigL. FLOPs are counted as if removed weights cost nothing; the seconds are what this machine took, where "
        "masks make nothing faster."
    )
    console.print(f"the report is in {report}", soft_wrap=True)
