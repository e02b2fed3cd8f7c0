"""Write the tables on the page of LAST from results/states.json and results/states_speed.json.

python benchmarks/states_tables.py
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from record import RESULTS, mean_and_spread

Rows = list[dict[str, Any]]
PAGE = Path(__file__).parents[1] / "docs" / "methods" / "last.md"
BEGIN, END = "<!-- written by benchmarks/states_tables.py -->", "<!-- end of tables -->"


def mean_at(rows: Rows, method: str, place: int) -> float:
    return float(statistics.mean(row["sweeps"][method]["accuracy"][place] for row in rows))


def accuracies(rows: Rows, ratios: list[float]) -> None:
    """A line for each method: the mean over seeds at every ratio, and over the ratios with its deviation over seeds."""
    dense = [row["dense"] for row in rows]
    print(f"\n**{rows[0]['task']}, {rows[0]['model']}**, dense {mean_and_spread(dense)} %, {len(rows)} seeds\n")
    print("| removed | " + " | ".join(f"{100 * r:.0f} %" for r in ratios) + " | mean |")
    print("| --- |" + " --- |" * (len(ratios) + 1))
    methods = [m for m in rows[0]["sweeps"] if all(m in row["sweeps"] for row in rows)]
    for method in methods:
        means = [statistics.mean(row["sweeps"][method]["accuracy"]) for row in rows]
        cells = [f"{mean_at(rows, method, i):.1f}" for i in range(len(ratios))]
        print(f"| {method} | {' | '.join(cells)} | {mean_and_spread(means)} |")


def areas(cells: dict[tuple[str, str], Rows]) -> None:
    """The mean over the nine ratios, methods down and tasks across."""
    names = dict.fromkeys(m for rows in cells.values() for m in rows[0]["sweeps"])
    print("\n| mean over 10 to 90 % | " + " | ".join(f"{task}, {model}" for task, model in cells) + " |")
    print("| --- |" + " --- |" * len(cells))
    dense = [mean_and_spread([row["dense"] for row in rows]) for rows in cells.values()]
    print(f"| nothing removed | {' | '.join(dense)} |")
    for name in names:
        line = []
        for rows in cells.values():
            have = all(name in row["sweeps"] for row in rows)
            line.append(mean_and_spread([statistics.mean(r["sweeps"][name]["accuracy"]) for r in rows]) if have else "")
        print(f"| {name} | {' | '.join(line)} |")


def at_largest(rows: Rows, ratios: list[float]) -> tuple[float, dict[str, float]]:
    """The largest ratio at which LAST loses less than a point, and what each method loses there."""
    dense = statistics.mean(row["dense"] for row in rows)
    fine = [i for i in range(len(ratios)) if dense - mean_at(rows, "LAST", i) < 1]
    there = [m for m in rows[0]["sweeps"] if all(m in row["sweeps"] for row in rows)]
    if not fine:
        return 0.0, dict.fromkeys(there, 0.0)
    return 100 * ratios[max(fine)], {m: dense - mean_at(rows, m, max(fine)) for m in there}


def largest(cells: dict[tuple[str, str], Rows], ratios: list[float]) -> None:
    """As the paper reports: each task at its own largest ratio, and the averages over tasks of both."""
    names = [m for m in next(iter(cells.values()))[0]["sweeps"] if not m.endswith("by rank")]
    print("\n| task, model | removed | " + " | ".join(names) + " |")
    print("| --- | --- |" + " --- |" * len(names))
    found = {key: at_largest(rows, ratios) for key, rows in cells.items()}
    for (task, model), (removed, losses) in found.items():
        shown = " | ".join(f"{losses[m]:.2f}" if m in losses else "" for m in names)
        print(f"| {task}, {model} | {removed:.0f} % | {shown} |")
    for model in dict.fromkeys(model for _, model in found):
        mine = [one for (_, kind), one in found.items() if kind == model]
        means = {m: statistics.mean(one[1][m] for one in mine) for m in names if all(m in one[1] for one in mine)}
        shown = " | ".join(f"**{means[m]:.2f}**" if m in means else "" for m in names)
        removed = statistics.mean(one[0] for one in mine)
        print(f"| **mean of {len(mine)} tasks, {model}** | **{removed:.1f} %** | {shown} |")
    blank = " |" * (len(names) - 6)
    print(f"| published: 10 tasks, S5 | 33 % | 0.52 | | | | 4.32 | 7.51 |{blank}")
    print(f"| published, S4D | 26.25 % | 0.32 | | | | | |{blank}")


def retrained(cells: dict[tuple[str, str], Rows]) -> None:
    """Accuracy at once and after one epoch, the mean over three ratios."""
    print("\n| at once, after one epoch | " + " | ".join(f"{task}, {model}" for task, model in cells) + " |")
    print("| --- |" + " --- |" * len(cells))
    for name in dict.fromkeys(m for rows in cells.values() for m in rows[0]["one_epoch"]):
        line = []
        for rows in cells.values():
            if not all(name in row["one_epoch"] for row in rows):
                line.append("")
                continue
            once = statistics.mean(mean_at(rows, name, place) for place in (4, 6, 8))
            after = statistics.mean(statistics.mean(row["one_epoch"][name].values()) for row in rows)
            line.append(f"{once:.1f}, {after:.1f}")
        print(f"| {name} | {' | '.join(line)} |")


def speeds(rows: Rows) -> None:
    print("\n| model | kept | parameters | " + " | ".join(f"{t:,} steps" for t in (1024, 4096, 16384)) + " |")
    print("| --- | --- | --- | --- | --- | --- |")
    grouped = defaultdict(list)
    for row in rows:
        grouped[row["model"], row["density"]].append(row)
    for (model, density), some in grouped.items():
        shown = [f"{1e3 * r['seconds']:.0f} ms ({r['speed']:.2f}x), {r['bytes'] / 2**20:.0f} MiB" for r in some]
        print(f"| {model} | {100 * density:.0f} % | {some[0]['parameters']:,} | {' | '.join(shown)} |")


def main() -> None:
    result = json.loads((RESULTS / "states.json").read_text())
    cells: dict[tuple[str, str], Rows] = defaultdict(list)
    for row in result["rows"]:
        cells[row["task"], row["model"]].append(row)
    cells = {name: rows for name, rows in cells.items() if len(rows) >= 3}  # three seeds or no claim
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        print("\n**Without retraining**: test accuracy in %, mean over nine ratios, ± over seeds.")
        areas(cells)
        print(
            "\n**At the largest ratio** at which LAST loses less than a point: points lost by each, and the averages."
        )
        largest(cells, result["ratios"])
        print("\n**With one epoch of retraining**: test accuracy in %, mean over 50, 70 and 90 % removed.")
        retrained(cells)
        print("\n**Time and memory** of one sequence, one thread of a busy machine; dense and smaller timed in turns.")
        speeds(json.loads((RESULTS / "states_speed.json").read_text())["rows"])
        print("\n### All ratios\n\nTest accuracy in % without retraining, mean over seeds.")
        for rows in cells.values():
            accuracies(rows, result["ratios"])
    page = PAGE.read_text(encoding="utf-8")
    page = re.sub(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{written.getvalue()}\n{END}", page, flags=re.DOTALL)
    PAGE.write_text(page, encoding="utf-8")
    print(written.getvalue())


if __name__ == "__main__":
    main()
