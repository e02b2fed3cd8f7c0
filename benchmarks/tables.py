"""Print the tables of the docs from results/*.json.

python benchmarks/tables.py sparse_training_digits-mlp-1200-steps
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from record import RESULTS


def line(row: dict[str, Any], dense_step: float) -> str:
    spread = "" if row["standard_deviation"] is None else f" ± {row['standard_deviation']:.2f}"
    cost = f"{row['flops'] / dense_step:.3f}"
    return f"| {row['method']} | {row['mean']:.2f}{spread} | {len(row['seeds'])} | {row['steps']:,} | {cost} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    result = json.loads((RESULTS / f"{parser.parse_args().name}.json").read_text())
    dense = [row for row in result["rows"] if row["method"] == "dense"]
    # The cost of a dense run; without one, the dense share is worked out from the ledger of the cheapest run.
    cost = dense[0]["flops"] if dense else min(row["flops"] / row["dense_runs"] for row in result["rows"])
    for density in sorted({row["density"] for row in result["rows"]}, reverse=True):
        print(f"\n**Density {density:g}**\n")
        print("| method | test accuracy, % | seeds | steps | training FLOPs, dense run = 1 |")
        print("| --- | --- | --- | --- | --- |")
        for row in result["rows"]:
            if row["density"] == density:
                print(line(row, cost))


if __name__ == "__main__":
    main()
