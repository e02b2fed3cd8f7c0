"""The latencies of networks that structured_training.py left, measured again in one go on a quiet machine.

    python benchmarks/structured_latency.py runs/structured/FAMILY --batch 32 --threads 1

Latency hangs on the widths, not on the weights: each network is narrowed to the widths of its cell and timed in turns
with the dense one. The cells' files are brought up to date; ``structured_training.py --collect`` gathers them. With
``--restless`` only those whose last measurement was not calm are measured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from record import put
from torch import Tensor, nn

import niwaki as nw
from niwaki.app.backends import time_models
from niwaki.app.models import load_model


@dataclass(frozen=True)
class Setting:
    """A network as the zoo makes it, the file with its pictures, and one picture's shape."""

    address: str
    pictures: str
    image: tuple[int, int, int]


SETTINGS = {f"resnet{n}": Setting(f"zoo:resnet{n}", "cifar10.npz", (3, 32, 32)) for n in (20, 32, 44, 56)}
SETTINGS["cnn"] = Setting("zoo:cnn?width=32", "fashion_mnist.npz", (1, 28, 28))


def measured(dense: nn.Module, small: nn.Module, x: Tensor, threads: int) -> dict[str, Any]:
    """Latencies, timed in turns with the dense network."""
    found: dict[str, Any] = {}
    for backend in ("eager", "onnxruntime"):
        # A layout for training is none for deployment.
        models = {"dense": dense, "small": small.to(memory_format=torch.contiguous_format)}
        timings = time_models(models, x, backend=backend, threads=threads, rounds=15, warmup=3)
        row = timings.rows[1]
        found[backend] = {"ratio": row.ratio, "low": row.low, "high": row.high, "calm": timings.is_calm}
    return found


def main() -> None:
    """Go through the cells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--restless", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    known: dict[str, dict[str, Any]] = {}  # equal widths are measured once
    for file in sorted(given.cells.glob("*.json")):
        cell = json.loads(file.read_text())
        is_calm = all(row["calm"] for row in cell.get("latency", {}).values())
        if "counts" not in cell or (given.restless and is_calm):
            continue
        setting = SETTINGS[cell["network"]]
        dense, x = load_model(setting.address).eval(), torch.zeros(given.batch, *setting.image).normal_()
        groups = nw.channels(dense, x[:1])
        keep = {group.name: torch.arange(group.size) < cell["counts"][group.name] for group in groups}
        code = f"{cell['network']} {sorted(cell['counts'].items())}"
        if code not in known:
            known[code] = measured(dense, nw.shrink(dense, groups, keep).eval(), x, given.threads)
        cell["latency"] = known[code]
        put(file, cell)
        shown = {name: (round(row["ratio"], 3), row["calm"]) for name, row in known[code].items()}
        print(file.stem, round(cell["predicted"], 3), shown, flush=True)


if __name__ == "__main__":
    main()
