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
from decimal import ROUND_HALF_UP, Decimal
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


def rounded(value: float, digits: int) -> str:
    """By decimal fractions, half up."""
    exact = Decimal(str(round(value, 6))).quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return str(abs(exact) if not exact else exact)  # no minus before a zero


def mean_and_spread(found: Sequence[float], digits: int = 1) -> str:
    """Mean and spread as they stand in a table: rounded once, from the runs."""
    mean = rounded(statistics.mean(found), digits)
    return mean if len(found) == 1 else f"{mean} ± {rounded(statistics.stdev(found), digits)}"


def put(path: Path, result: dict[str, Any]) -> Path:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(path)
    return path
