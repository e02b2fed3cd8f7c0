"""Print the tables of the docs from what structured_training.py collected.

python benchmarks/structured_tables.py structured_training_trained-10000-images-300-steps-latency-by-4

The last column is the mean of the differences to HALP, seed by seed, with their standard deviation.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from record import RESULTS, mean_and_spread
from tables import against

LATENCY = ("latency, predicted", "eager", "onnxruntime")
COLUMNS = ("method", "test accuracy, %", "seeds", *LATENCY, "MACs", "training", "minus HALP")
NAMES = {
    "torch-pruning": "Torch-Pruning",
    "torch-pruning, local": "Torch-Pruning, local",
    "halp": "HALP",
    "smcp": "SMCP",
    "iee": "IEE",
    "iee, end 0.75": "IEE, `end=0.75`",
    "static, scratch": "static, from scratch",
    "iee, scratch": "IEE, from scratch",
    "iee, scratch, end 0.75": "IEE, from scratch, `end=0.75`",
}


def mean(row: dict[str, Any], key: str) -> str:
    return f"{statistics.mean(row[key]):.2f}"


def latency(row: dict[str, Any], backend: str) -> str:
    return f"{statistics.mean(cell[backend]['ratio'] for cell in row['latency']):.2f}"


def line(row: dict[str, Any], rival: dict[str, Any] | None) -> str:
    cells = [NAMES.get(row["method"], row["method"]), mean_and_spread(row["accuracy"]), str(len(row["seeds"]))]
    if "latency" not in row:
        return "| " + " | ".join([*cells, *["1"] * 5, ""]) + " |"
    start = statistics.mean(cost or 0.0 for cost in row["start_cost"])
    cost = statistics.mean(row["training_cost"])
    cells += [mean(row, "predicted"), latency(row, "eager"), latency(row, "onnxruntime"), mean(row, "macs")]
    cells += [f"{start:.0f} + {cost:.2f}" if start else f"{cost:.2f}", against(row, rival, "accuracy", digits=1)]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """One table for each network and target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    rows = json.loads((RESULTS / f"{parser.parse_args().name}.json").read_text())["rows"]
    for network, target in sorted({(row["network"], -row["target"]) for row in rows if row["method"] != "dense"}):
        mine = [r for r in rows if r["network"] == network and (r["target"] == -target or r["method"] == "dense")]
        halp = next((row for row in mine if row["method"] == "halp"), None)
        print(f"\n**{network}, {-target:g} of the latency**\n")
        print("| " + " | ".join(COLUMNS) + " |", "| " + " | ".join("---" for _ in COLUMNS) + " |", sep="\n")
        for row in mine:
            print(line(row, halp))


if __name__ == "__main__":
    main()
