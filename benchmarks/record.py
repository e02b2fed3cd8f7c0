"""How every benchmark writes its result: what was run, with which versions, on what machine."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

import niwaki
from niwaki.measure.environment import processor

RESULTS = Path(__file__).parent / "results"


def write(name: str, result: dict[str, Any]) -> Path:
    """Write ``results/NAME.json`` with everything needed to run it again."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    record = {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {
            "niwaki": niwaki.__version__,
            "torch": torch.__version__,
            "numpy": numpy.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": device,
        },
        **result,
    }
    return put(RESULTS / f"{name}.json", record)


def over_seeds(found: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation, which a single seed does not have."""
    spread = round(statistics.stdev(found), 2) if len(found) > 1 else None
    return {"mean": round(statistics.mean(found), 2), "standard_deviation": spread}


def put(path: Path, result: dict[str, Any]) -> Path:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(path)
    return path
