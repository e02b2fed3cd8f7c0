"""A pattern search with one worker and with two, in turns: processor seconds, seconds of the clock, and their ratios.

    python benchmarks/patterns_workers.py DATA [--turns 5] [--long]     # DATA: the folder with mushroom_*.dat

Seconds of the clock tell of the whole machine: what else ran on it is in the load before each turn. Processor seconds,
added up over the process and its workers, tell what dealing out costs. ``longest``: those of the process that deals out
and of the busiest worker, the least that the search could take with a core for each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import record
from patterns import few_samples_many_items, many_samples, read

from niwaki.patterns import Findings, Search, significant_patterns

WAYS = {"one": (1, "loky"), "two processes": (2, "loky"), "two threads": (2, "threading")}
TICK = os.sysconf("SC_CLK_TCK")


def spent_by_workers() -> dict[int, float]:
    """Processor seconds of the processes that this one started, by number, as Linux counts them."""
    found = {}
    for children in Path("/proc/self/task").glob("*/children"):
        for child in children.read_text().split():
            words = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            found[int(child)] = (int(words[11]) + int(words[12])) / TICK
    return found


def turn(search: Callable[..., Findings], workers: int, backend: str) -> dict[str, Any]:
    load = os.getloadavg()[0]
    with joblib.parallel_config(backend=backend):
        before, clock, own = spent_by_workers(), time.perf_counter(), time.process_time()
        found = search(workers=workers)
        wall, here = time.perf_counter() - clock, time.process_time() - own
    others = [spent - before.get(child, 0.0) for child, spent in spent_by_workers().items()]
    return {
        "wall": wall,
        "processor": here + sum(others),
        "longest": here + max(others, default=0.0) if backend != "threading" else None,
        "load": load,
        "same": (len(found), found.testable, found.level),
    }


def in_turns(search: Callable[..., Findings], turns: int) -> dict[str, Any]:
    for workers, backend in WAYS.values():  # compiled code is loaded, and the workers are there
        turn(search, workers, backend)
    every: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    for _ in range(turns):
        for name, way in WAYS.items():
            every[name].append(turn(search, *way))
    assert len({one["same"] for rows in every.values() for one in rows}) == 1
    found: dict[str, Any] = {"significant": every["one"][0]["same"][0], "testable": every["one"][0]["same"][1]}
    for name, rows in every.items():
        kinds = [kind for kind in ("wall", "processor", "longest", "load") if rows[0][kind] is not None]
        found[name] = {kind: [round(one[kind], 3) for one in rows] for kind in kinds}
    for name in list(WAYS)[1:]:
        pairs = list(zip(every["one"], every[name], strict=True))
        ratios = {
            "wall_one_over_two": [one["wall"] / two["wall"] for one, two in pairs],
            "processor_two_over_one": [two["processor"] / one["processor"] for one, two in pairs],
        }
        if name == "two processes":
            ratios["processor_one_over_longest"] = [one["processor"] / two["longest"] for one, two in pairs]
        found[name] |= {kind: round(statistics.median(values), 3) for kind, values in ratios.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--long", action="store_true", help="a search of 100,000 samples, too, which takes minutes")
    given = parser.parse_args()
    few, mushroom = few_samples_many_items(0), read(given.data, "mushroom")
    searches: dict[str, Callable[..., Findings]] = {
        "few samples, many items": partial(significant_patterns, few[0], few[1], few[2], Search(rule="grid")),
        "mushroom, 3,000 shuffles": partial(
            significant_patterns, mushroom[0], mushroom[1], mushroom[2], Search(permutations=3000)
        ),
    }
    if given.long:
        many = many_samples(0)
        searches["100,000 samples"] = partial(significant_patterns, many[0], many[1], many[2], Search())
    result = {}
    for name, search in searches.items():
        result[name] = in_turns(search, given.turns)
        print(name, result[name], flush=True)
        record.write("patterns_workers", {"turns": given.turns, "searches": result})


if __name__ == "__main__":
    main()
