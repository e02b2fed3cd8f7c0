"""Print the tables of the docs from what structured_training.py collected.

python benchmarks/structured_tables.py structured_training_trained-10000-images-300-steps-latency-by-4
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from record import RESULTS


def mean(row: dict[str, Any], key: str) -> str:
    return f"{statistics.mean(row[key]):.2f}"


def latency(row: dict[str, Any], backend: str) -> str:
    return f"{statistics.mean(cell[backend]['ratio'] for cell in row['latency']):.2f}"


def line(row: dict[str, Any]) -> str:
    spread = "" if row["standard_deviation"] is None else f" ± {row['standard_deviation']:.1f}"
    cells = [row["method"], f"{row['mean']:.1f}{spread}", str(len(row["seeds"]))]
    if "latency" not in row:
        return "| " + " | ".join([*cells, "1", "1", "1", "1", "1"]) + " |"
    start = statistics.mean(cost or 0.0 for cost in row["start_cost"])
    cost = statistics.mean(row["training_cost"])
    cells += [mean(row, "predicted"), latency(row, "eager"), latency(row, "onnxruntime"), mean(row, "macs")]
    return "| " + " | ".join([*cells, f"{start:.0f} + {cost:.2f}" if start else f"{cost:.2f}"]) + " |"


def main() -> None:
    """One table for each network and target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    rows = json.loads((RESULTS / f"{parser.parse_args().name}.json").read_text())["rows"]
    for network, target in sorted({(row["network"], -row["target"]) for row in rows if row["method"] != "dense"}):
        print(f"\n**{network}, {-target:g} of the latency**\n")
        print("| method | test accuracy, % | seeds | latency, predicted | eager | onnxruntime | MACs | training |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        for row in rows:
            if row["network"] == network and (row["target"] == -target or row["method"] == "dense"):
                print(line(row))


if __name__ == "__main__":
    main()
