"""Print the tables of the docs from results/*.json.

python benchmarks/tables.py sparse_training_digits-mlp-1200-steps

A seed gives all methods the same first weights and batches, so that most of what seeds do is common to all: the last
column is the mean of the differences to RigL, seed by seed, with their standard deviation.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from record import RESULTS, mean_and_spread


def against(row: dict[str, Any], rival: dict[str, Any] | None, key: str = "test_accuracy", *, digits: int = 2) -> str:
    """The differences of equal seeds, where there are any."""
    if rival is None or row is rival:
        return ""
    theirs = dict(zip(rival["seeds"], rival[key], strict=True))
    found = [mine - theirs[seed] for seed, mine in zip(row["seeds"], row[key], strict=True) if seed in theirs]
    return f"{'+' if statistics.mean(found) > 0 else ''}{mean_and_spread(found, digits)}" if found else ""


def line(row: dict[str, Any], dense_step: float, rival: dict[str, Any] | None) -> str:
    cells = [row["method"], mean_and_spread(row["test_accuracy"], 2), str(len(row["seeds"]))]
    return (
        "| " + " | ".join([*cells, f"{row['steps']:,}", f"{row['flops'] / dense_step:.3f}", against(row, rival)]) + " |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    result = json.loads((RESULTS / f"{parser.parse_args().name}.json").read_text())
    dense = [row for row in result["rows"] if row["method"] == "dense"]
    # The cost of a dense run; without one, the dense share is worked out from the ledger of the cheapest run.
    cost = dense[0]["flops"] if dense else min(row["flops"] / row["dense_runs"] for row in result["rows"])
    for density in sorted({row["density"] for row in result["rows"]}, reverse=True):
        print(f"\n**Density {density:g}**\n")
        print("| method | test accuracy, % | seeds | steps | training FLOPs, dense run = 1 | minus RigL, same seeds |")
        print("| --- | --- | --- | --- | --- | --- |")
        rows = [row for row in result["rows"] if row["density"] == density]
        rival = next((row for row in rows if row["method"] == "rigl"), None)
        for row in rows:
            print(line(row, cost, rival))


if __name__ == "__main__":
    main()
