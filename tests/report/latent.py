"""Latencies and cuts as the command line writes them, made up: no model is timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LAYERS = {"conv1": (3, 16), "layer1.0.conv1": (16, 16), "layer1.0.conv2": (16, 16), "layer2.0.conv1": (16, 32)}
MACHINE = "Linux x86_64, 2 cores"


def seconds_of(inputs: int, outputs: int) -> float:
    """What a made-up layer takes: a fixed part and one for each product."""
    return 1e-5 + 2e-7 * inputs * outputs


def table() -> list[dict[str, Any]]:
    """One entry per shape, and one of a single width."""
    shapes: dict[tuple[int, int], list[str]] = {}
    for name, shape in LAYERS.items():
        shapes.setdefault(shape, []).append(name)
    rows: list[dict[str, Any]] = []
    for (c_in, c_out), names in shapes.items():
        inputs = sorted({1, c_in // 2, c_in} - {0})
        outputs = list(range(4, c_out + 1, 4))
        grid = [[seconds_of(i, o) for o in outputs] for i in inputs]
        key = f"conv 3x3, {c_in} to {c_out}"
        rows.append({"key": key, "layers": names, "inputs": inputs, "outputs": outputs, "seconds": grid})
    single = {"key": "depthwise 3x3", "layers": ["layer2.0.deep"], "inputs": [], "outputs": [8, 16, 32]}
    return [*rows, {**single, "seconds": [[1e-5, 1.6e-5, 2.9e-5]]}]


def latency(
    ratio: float = 0.52, *, asked: float | None = 0.5, backend: str = "onnxruntime", predicted: bool = True
) -> dict[str, Any]:
    """What a result says of latency; the dense model takes 12.3 ms."""
    dense, share = 0.0123, asked or 1.0
    layers = [{"name": n, "dense": seconds_of(*s), "small": 0.5 * seconds_of(*s)} for n, s in LAYERS.items()]
    return {
        "backend": backend, "threads": 1, "batch": 1, "dtype": "float32", "machine": MACHINE,
        "asked": asked, "target_seconds": None if asked is None else asked * dense,
        "dense": {"predicted": 0.0118 if predicted else None, "measured": dense, "spread": 0.03},
        "small": {
            "predicted": 0.0118 * share if predicted else None, "measured": ratio * dense, "spread": 0.04,
            "ratio": ratio, "low": ratio - 0.02, "high": ratio + 0.02,
        },
        "layers": layers if predicted else [], "table": table() if predicted else [],
    }  # fmt: skip


def cut_result(accuracy: float | None = 0.9, **changed: Any) -> dict[str, Any]:
    """What ``niwaki prune`` writes; keywords change the request."""
    groups = [{"name": "conv1", "kind": "channel", "units": 16, "kept": 7},
              {"name": "layer2.0.conv1", "kind": "channel", "units": 32, "kept": 20}]  # fmt: skip
    request = {
        "model": "zoo:resnet20", "data": "digits", "units": "channels", "criterion": "taylor", "density": None,
        "share_of": "units", "seed": 0, "finetune": 100, "latency": 0.5, "macs": None, "parameters": None,
    }  # fmt: skip
    worth = {"accuracy": accuracy, "loss": None if accuracy is None else 1.1 - accuracy}
    before = {"accuracy": None if accuracy is None else 0.97, "loss": None if accuracy is None else 0.1}
    return {
        "command": "niwaki prune zoo:resnet20 --data digits --latency 0.5",
        "versions": {"niwaki": "0.1", "torch": "2.15.0", "machine": MACHINE, "threads": 1},
        "request": {**request, **changed},
        "budget": [{"cost": "latency", "asked": 0.5, "unit": "s", "dense": 0.0118, "most": 0.0059, "reached": 0.0058}],
        "parameters": [1000, 400], "macs": [90000, 41000], "units": [48, 27], "dense": before,
        "steps": {"cut": {"accuracy": 0.5, "loss": 0.9}, "finetuned": worth},
        "verified": {"same": True, "difference": 1e-7, "words": "masked and shrunk model agree"},
        "groups": groups, "untouched": {"fc.weight": "an output of the model"}, "seconds": 3.5,
        "latency": latency(),
    }  # fmt: skip


def make_cut(folder: Path, ratio: float = 0.52, accuracy: float | None = 0.9, **changed: Any) -> Path:
    """Write a folder of a cut."""
    folder.mkdir(parents=True)
    found = {**cut_result(accuracy, **changed), "latency": latency(ratio, asked=changed.get("latency", 0.5))}
    (folder / "result.json").write_text(json.dumps(found), encoding="utf-8")
    return folder
