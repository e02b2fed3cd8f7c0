"""Print the page docs/coverage.md from results/network_coverage.json and results/discovery_at_scale.json.

python benchmarks/coverage_page.py > docs/coverage.md
"""

from __future__ import annotations

import json
from typing import Any

from record import RESULTS

HEAD = """# Coverage

Which networks can be cut, and is what is left exact? `benchmarks/network_coverage.py` takes half of the units of
**every** group, at random places, from every network below, all with random weights made lively (norm statistics,
biases and zero-initialised tensors are randomised: a layer of zeros would hide a mistake). *Exact* means: the dense
network with the removed units' parameters set to zero, and nothing else, gives what the smaller network gives, to 1e-4
of the largest output. *Kept* is the share of the parameters that is left. Torch-Pruning 1.6.1 runs in the same process
with its own defaults, half of every group by magnitude, where it can; *graph* is the time its dependency graph takes,
beside the time of our discovery, which includes the proof on a smaller copy. Both are seconds of the processor with one
thread, the least of up to five runs. *As a graph* is what `graph=True` and `nw.shrink_graph` cut beyond it, where the
model's own code fixes a size (as `C // num_heads` does): groups, of these heads, and what is kept then, exact where not
said otherwise.

    python benchmarks/network_coverage.py
    python benchmarks/discovery_at_scale.py
    python benchmarks/coverage_page.py > docs/coverage.md
"""

TAIL = """
## What these numbers do not say

* Exact is not accurate: nothing here was trained. What a cut costs in accuracy is a matter of criterion and tuning.
* Where a norm runs over the residual stream (transformers), the stream stays; heads and hidden channels go.
* Of timm, the smallest variant of each of its {files} architecture files counts; the table has those reached.
* In Mamba-2 a norm runs over all heads that share their input and output matrices: they go together, and a model with
  one such set (`n_groups=1`) can lose none of them unless what the norm sees may change (`inexact=True`).
* The reasons for what stays in each network are in `benchmarks/results/network_coverage.json`, under `left_out`.
* Torch-Pruning had 25 seconds of the processor for each network, in some rows 300 by the clock on the wall.
* Rows without seconds are of a run of an earlier version, whose times were taken by the clock on the wall.
* Other programs ran on the machine: seconds are good for their order of magnitude, ratios within a row for more.
"""

FILES = 98
"""Architecture files of timm 1.0.31."""

COLUMNS = (
    "network | exact | relative difference | groups (heads) | kept | as a graph: groups (heads), kept | discovery, s | "
    "shrink, s | Torch-Pruning: kept; graph, s"
)


def families(rows: dict[str, Any]) -> str:
    lines = [
        "| family | networks | run | exact | Torch-Pruning runs | our discovery / its graph, geometric mean | of |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for family, found in rows.items():
        ratio = found["discovery_time_over_torch_pruning"]
        lines.append(
            f"| {family} | {found['networks']} | {found['runs']} | {found['exact']} | {found['torch_pruning_runs']} | "
            f"{'' if ratio is None else f'{ratio:.2f}'} | {found['ratios']} |"
        )
    return "\n".join(lines)


def as_graph(found: dict[str, Any]) -> str:
    if not found:
        return ""
    words = f"{found['groups']} ({found['heads']}), "
    if not found["runs"]:
        return f"{words}**no**: {found['error'][:80].replace('|', '/')}"
    return f"{words}{found['kept']:.2f}{'' if found['exact'] else ', **not exact**'}"


def _failed(other: dict[str, Any]) -> str:
    error = other.get("error", "")
    return "not tried" if error == "not tried" else "not done in time" if "not done in" in error else "does not run"


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {COLUMNS} |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        name = row["network"].partition(":")[2]
        if "skipped" in row:
            lines.append(f"| {name} | left out: {row['skipped']} | | | | | | | |")
        elif not row.get("runs"):
            lines.append(f"| {name} | **no**: {row['error'][:80].replace('|', '/')} | | | | | | | |")
        else:
            other = row.get("torch_pruning", {})
            seconds = "" if row.get("earlier") else f"; {other.get('graph_seconds', 0):.2f}"
            theirs = f"{other['kept']:.2f}{seconds}" if other.get("runs") else _failed(other)
            times = " | " if row.get("earlier") else f"{row['discovery_seconds']:.2f} | {row['shrink_seconds']:.2f}"
            exact = "yes" if row["exact"] else "**no**" if row["groups"] else "nothing to cut"
            lines.append(
                f"| {name} | {exact} | {row['relative']:.0e} | {row['groups']} ({row['heads']}) | {row['kept']:.2f} | "
                f"{as_graph(row.get('as_graph', {}))} | "
                f"{times} | {theirs} |"
            )
    return "\n".join(lines)


def scale(found: dict[str, Any]) -> str:
    large = found["llama_7b"]
    lines = [
        f"A LLaMA of {large['parameters'] / 1e9:.2f} billion parameters, from its config alone on the `meta` device: "
        f"{large['groups']} groups ({large['units']['head']:,} heads, {large['units']['channel']:,} channels) in "
        f"{large['seconds']:.1f} s, with {large['peak_gib']:.2f} GiB at the peak of the whole process.",
        "",
        "| network, 224 x 224 | groups | seconds, median of five | least |",
        "| --- | --- | --- | --- |",
    ]
    for name, row in found["torchvision"].items():
        lines.append(f"| {name} | {row['groups']} | {row['seconds']:.2f} | {row['least']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    found = json.loads((RESULTS / "network_coverage.json").read_text())
    size = json.loads((RESULTS / "discovery_at_scale.json").read_text())
    print(HEAD)
    print(families(found["summary"]))
    print("\n## At scale\n")
    print(scale(size))
    for family, rows in found["networks"].items():
        print(f"\n## {family}\n")
        print(table(rows))
    print(TAIL.format(files=FILES).rstrip())


if __name__ == "__main__":
    main()
