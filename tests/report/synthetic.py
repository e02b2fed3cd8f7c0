"""Run folders as training writes them, made up: plausible numbers without any training."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

LAYERS = {"conv1": 144, "layer1.0": 2304, "layer1.1": 2304, "layer2.0": 4608, "layer2.1": 9216, "head": 640}
SIZE = sum(LAYERS.values())
DENSE_STEP = 3.0e8
VERSIONS = {"niwaki": "0.1", "torch": "2.15.0", "python": "3.11.9", "numpy": "2.4", "machine": "x86_64", "threads": 2}
# Where each method ends; seeds scatter around it.
_ENDS = {"dense": 0.978, "iee": 0.962, "rigl": 0.957, "sparse_evolution": 0.951}
_ENDS |= {"gmp": 0.965, "acdc": 0.96, "static": 0.93}
_BEGINS = {"iee": "estimate", "gmp": "prune", "acdc": "dense"}

Record = dict[str, Any]


def densities(total: float) -> dict[str, float]:
    """Small layers denser than large ones, the total as asked."""
    raw = {name: size**-0.5 for name, size in LAYERS.items()}
    scale = total * SIZE / sum(raw[n] * s for n, s in LAYERS.items())
    return {name: min(1.0, scale * value) for name, value in raw.items()}


def _move(step: int, move: str, stage: str, density: float, **more: float) -> Record:
    layers = densities(density)
    return {"step": step, "move": move, "stage": stage, "density": density, "densities": layers, **more}


def _cycles(density: float, last: int, cycle: tuple[int, int, int], rng: np.random.Generator) -> list[Record]:
    (h, j, q), out, ever = cycle, [], density
    count = last // (h + j + q)
    for n in range(count):
        at, share = n * (h + j + q), 0.3 * math.exp(-5 * n / count)
        more = {} if n == 0 else {"survival": float(0.45 + 0.25 * n / count + rng.normal(0, 0.03))}
        out.append(_move(at + h, "drop", "improve", density * (1 - share), ever_active=ever, **more))
        out.append(_move(at + h + j, "explore", "explore", density, ever_active=ever))
        ever = min(1.0, ever + 0.4 * share * density)
        after = {"iou": 1 - 0.8 * share + float(rng.normal(0, 0.005)), "ever_active": ever}
        out.append(_move(at + h + j + q, "grow", "estimate" if n < count - 1 else "train", density, **after))
    return out


def _swaps(density: float, last: int, rng: np.random.Generator) -> list[Record]:
    out, ever = [], density
    for step in range(100, last, 100):
        share = 0.15 * (1 + math.cos(math.pi * step / last))
        ever = min(1.0, ever + 0.7 * share * density)
        more = {"iou": 1 - 1.2 * share, "survival": float(0.3 + 0.1 * step / last + rng.normal(0, 0.03))}
        out.append(_move(step, "swap", "train", density, ever_active=ever, **more))
    return out


def moves_of(
    method: str, density: float, steps: int, cycle: tuple[int, int, int], rng: np.random.Generator
) -> list[Record]:
    """A history as the sparsifier keeps it."""
    last = int(0.75 * steps)
    if method == "iee":
        return _cycles(density, last, cycle, rng)
    if method in {"rigl", "sparse_evolution"}:
        return _swaps(density, last, rng)
    if method == "gmp":
        curve = {s: density + (1 - density) * (1 - s / last) ** 3 for s in range(100, last + 1, 100)}
        return [_move(s, "prune", "train" if s + 100 > last else "prune", d, iou=0.9) for s, d in curve.items()]
    if method == "acdc":
        at = [int((0.1 + 0.12 * n) * steps) for n in range(7)]
        down, up = ("prune", "compressed", density), ("restore", "dense", 1.0)
        return [_move(s, *(up if n % 2 else down), iou=0.5) for n, s in enumerate(at)]
    return []


def _metrics(
    method: str, moves: list[Record], density: float, steps: int, *, end: float, every: int, rng: np.random.Generator
) -> tuple[list[Record], dict[str, Record]]:
    """The lines of a run and its ledger."""
    turns = {m["step"]: m for m in moves}
    now = 1.0 if method in {"gmp", "acdc"} else density
    stage, spent, clock = _BEGINS.get(method, "train"), 0.0, 0.0
    lines: list[Record] = []
    ledger: dict[str, Record] = {}
    for step in range(1, steps + 1):
        cost = DENSE_STEP * ((3 - density) / 3 if stage == "explore" else min(1.0, 2 * now))
        spent, clock = spent + cost, clock + 0.004 + 1e-11 * cost
        entry = ledger.setdefault(stage, {"steps": 0, "flops": 0.0, "seconds": 0.0})
        for key, more in (("steps", 1), ("flops", cost), ("seconds", 0.004 + 1e-11 * cost)):
            entry[key] += more
        left = math.exp(-5 * step / steps)
        loss = 2.3 * left + 0.05 + (0.25 if stage == "explore" else 0) + abs(float(rng.normal(0, 0.02 + 0.1 * left)))
        where = {"step": step, "density": now, "seconds": clock}
        lines.append({"kind": "train", "loss": loss, "stage": stage, "lr": 0.1, **where})
        if step in turns:
            lines.append({"kind": "move", **turns[step]})
            stage, now = turns[step]["stage"], turns[step]["density"]
        if step % every == 0 or step == steps:
            accuracy = end * (1 - 0.88 * math.exp(-7 * step / steps)) + float(rng.normal(0, 0.002)) * left
            lines.append({"kind": "eval", "accuracy": accuracy, "loss": 1.1 - accuracy, "flops": spent, **where})
    return lines, ledger


def make_run(
    folder: Path,
    method: str = "iee",
    *,
    density: float = 0.05,
    seed: int = 0,
    steps: int = 1200,
    every: int = 60,
    cycle: tuple[int, int, int] = (45, 45, 10),
    flops: bool = True,
    stop: int | None = None,
    split: bool = False,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run folder.

    With ``stop`` it was killed after that step, in the middle of a line. With ``split`` it was evaluated on a part of
    the data held out for that, and tested on another one in the end.
    """
    rng = np.random.default_rng([seed, len(method), steps, int(1e4 * density)])
    density = 1.0 if method == "dense" else density
    moves = moves_of(method, density, steps, cycle, rng)
    end = _ENDS[method] + 0.004 * math.log10(density / 0.05) + float(rng.normal(0, 0.002))
    lines, ledger = _metrics(method, moves, density, steps, end=end, every=every, rng=rng)
    for record in [*lines, *ledger.values()]:
        record.update({"flops": None} if "flops" in record and not flops else {})
        record.update({"part": "valid"} if record.get("kind") == "eval" and split else {})
    last = [line for line in lines if line["kind"] == "eval"][-1]
    sizes = {"weights_kept": round(density * SIZE), "weights_total": SIZE}
    cost = {"flops": last["flops"], "dense_runs": last["flops"] / (steps * DENSE_STEP) if flops else None}
    result = {"density": density, "densities": densities(density), "steps": steps, "seconds": last["seconds"]}
    command = f"niwaki train --method {method} --density {density} --steps {steps} --seed {seed}"
    settings = {"method": method, "model": "zoo:resnet20", "data": "digits", "density": density, "steps": steps}
    settings |= {"epochs": steps / 60, "batch": 24, "lr": 0.1, "seed": seed, "switches": {}, "command": command}
    text = "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= (stop or steps))
    files: dict[str, Any] = {"config": settings | dict(config or {}), "versions": VERSIONS}
    if not stop:
        stages = {"stages": ledger, "dense_step_flops": DENSE_STEP if flops else None}
        files["ledger"] = {**stages, "peak_memory": 412_000_000 + 10**6 * seed}
        files["result"] = {"accuracy": last["accuracy"] - 0.012 * split, **result, **cost, **sizes}
    write(folder, text[:-20] if stop else text, files)
    return folder


def write(folder: Path, metrics: str, files: Mapping[str, Any]) -> None:
    """Write the files of a run folder."""
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text(metrics, encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
