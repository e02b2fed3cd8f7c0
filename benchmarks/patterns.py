"""Significant patterns: how fast the search is, and whether its error bound holds.

    python benchmarks/patterns.py speed DATA     # DATA: the folder with tictactoe_*.dat and mushroom_*.dat
    python benchmarks/patterns.py errors

Times are the best of several runs, after compilation, on one core: of the process (CPU), which
other programs disturb little, and of the clock.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
from numpy.typing import NDArray

from niwaki.patterns import Findings, PatternError, Search, bounds, significant_patterns

Data = tuple[NDArray[np.bool_], NDArray[Any], NDArray[Any]]


def read(folder: Path, name: str) -> Data:
    plain = folder / f"{name}_transactions.dat"
    text = plain.read_text() if plain.exists() else gzip.decompress(plain.with_suffix(".dat.gz").read_bytes()).decode()
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    names = sorted({item for row in rows for item in row})
    items = np.zeros((len(rows), len(names)), bool)
    for i, row in enumerate(rows):
        items[i, np.searchsorted(names, row)] = True
    labels, strata = (np.loadtxt(folder / f"{name}_{part}.dat", dtype=int) for part in ("labels", "covariates"))
    return items, labels, strata


def few_samples_many_items(seed: int) -> Data:
    """The shape of the plant data avrB: 87 samples, 650 linked items, strata of 38, 9, 6 and 34, one with one label."""
    generator = np.random.default_rng(seed)
    sizes, ones = [38, 9, 6, 34], [16, 3, 6, 7]
    strata = np.repeat(np.arange(4), sizes)
    labels = np.concatenate([np.r_[np.ones(o, int), np.zeros(s - o, int)] for s, o in zip(sizes, ones, strict=True)])
    columns: list[NDArray[np.bool_]] = []
    while len(columns) < 650:
        base = generator.random(87) < generator.uniform(0.05, 0.5, size=4)[strata]
        for _ in range(generator.integers(8, 60)):
            columns.append(base ^ (generator.random(87) < generator.choice([0.005, 0.02, 0.03])))
    return np.array(columns[:650]).T, labels, strata


def many_samples(seed: int, samples: int = 100_000, width: int = 1000, strata: int = 10) -> Data:
    """Rare items, and a planted combination of three."""
    generator = np.random.default_rng(seed)
    covariate = generator.integers(0, strata, samples)
    rates = np.exp(generator.uniform(np.log(0.002), np.log(0.06), width))
    items = generator.random((samples, width), dtype=np.float32) < rates
    labels = generator.random(samples) < np.linspace(0.3, 0.6, strata)[covariate]
    signal = generator.random(samples) < 0.02
    items[np.ix_(signal, generator.choice(width, 3, replace=False))] = True
    return items, labels | (signal & (generator.random(samples) < 0.5)), covariate


def timed(search: Callable[[], Findings], runs: int) -> dict[str, Any]:
    cpu, wall = [], []
    for run in range(runs):
        began, clock = time.process_time(), time.perf_counter()
        found = search()
        if run or runs == 1:  # the first of several may still have to load compiled code
            cpu.append(time.process_time() - began)
            wall.append(time.perf_counter() - clock)
    return {
        "cpu_seconds": round(min(cpu), 4),
        "wall_seconds": round(min(wall), 4),
        "runs": runs,
        "visited": found.visited,
        "testable": found.testable,
        "significant": len(found),
        "level": found.level,
        "inflation": round(found.inflation, 3),
        "inflation_without_covariate": round(found.inflation_pooled, 3),
    }


def envelope_times() -> dict[str, float]:
    """Microseconds of one bound by the number of strata: sorting, and (to 14) all the corners that it stands for."""
    from niwaki.patterns import bounds_compiled

    found, generator = {}, np.random.default_rng(0)
    for strata in (1, 2, 4, 8, 14, 20, 50, 100, 200, 400):
        sizes = generator.integers(20, 60, strata).astype(float)
        ones = np.floor(sizes * generator.uniform(0.2, 0.8, strata))
        x = np.floor(sizes * generator.uniform(0, 0.4, strata))
        work, best = np.zeros((3, strata)), []
        for _ in range(7):
            began = time.process_time()
            for _ in range(2000):
                bounds_compiled.envelope(x, sizes, ones, work)
            best.append((time.process_time() - began) / 2000)
        found[f"sorted_{strata}"] = round(1e6 * min(best), 3)
        if strata <= 14:
            began = time.process_time()
            corners = (np.arange(1 << strata)[:, None] >> np.arange(strata)) & 1
            bounds.best_statistic(corners * np.minimum(x, ones), sizes, ones).max()
            found[f"corners_{strata}"] = round(1e6 * (time.process_time() - began), 3)
    return found


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def speed(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, runs in (("tictactoe", 20), ("mushroom", 3)):
        items, labels, strata = read(folder, name)
        for rule in ("exact", "grid", "reference"):
            search = Search(rule=rule)
            result[f"{name}_{rule}"] = timed(lambda: significant_patterns(items, labels, strata, search), runs)  # noqa: B023
        result[f"{name}_two_passes"] = timed(
            lambda: significant_patterns(items, labels, strata, Search(passes="two")),  # noqa: B023
            runs,
        )
    items, labels, strata = read(folder, "tictactoe")
    shuffles = Search(permutations=10_000)
    result["tictactoe_10000_shuffles"] = timed(lambda: significant_patterns(items, labels, strata, shuffles), 3)
    result["tictactoe_arrays"] = timed(lambda: significant_patterns(items, labels, strata, compiled=False), 3)
    few = few_samples_many_items(0)
    result["few_samples_many_items"] = timed(lambda: significant_patterns(*few, Search(rule="grid")), 3)
    before, many = peak(), many_samples(0)
    with_data = peak()
    result["many_samples"] = timed(lambda: significant_patterns(*many), 1)
    result["many_samples"] |= {"megabytes_before": before, "with_data": with_data, "with_search": peak()}
    result["envelope_microseconds"] = envelope_times()
    return result


def null(seed: int, rarest: float) -> Data:
    """Items and labels that both follow the covariate, and nothing else; ``rarest``: share of label 1 in a stratum."""
    generator = np.random.default_rng(seed)
    covariate = generator.integers(0, 3, 100)
    items = generator.random((100, 12)) < np.linspace(0.2, 0.7, 3)[covariate][:, None]
    return items, generator.random(100) < np.linspace(rarest, 1 - rarest, 3)[covariate], covariate


def errors(runs: int = 300) -> dict[str, Any]:
    """How often anything at all is found where there is nothing, at alpha = 0.05."""
    searches = {
        "exact": Search(),
        "grid": Search(rule="grid"),
        "exact_min_support_10": Search(min_support=10),
        "199_shuffles": Search(permutations=199),
    }
    result: dict[str, Any] = {
        "runs": runs,
        "alpha": 0.05,
        "standard_error_at_alpha": round((0.05 * 0.95 / runs) ** 0.5, 4),
    }
    for rarest in (0.5, 0.35, 0.2):
        for name, search in searches.items():
            hits = refused = 0
            for seed in range(runs):
                try:
                    hits += len(significant_patterns(*null(seed, rarest), search)) > 0
                except PatternError:
                    refused += 1
            result[f"{name}_rarest_label_{rarest}"] = {"share": hits / runs, "refused": refused}
            print(name, rarest, hits / runs, refused, flush=True)
        hits = sum(len(significant_patterns(*null(seed, rarest)[:2])) > 0 for seed in range(runs))
        result[f"without_covariate_rarest_label_{rarest}"] = {"share": hits / runs, "refused": 0}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "errors"])
    parser.add_argument("data", type=Path, nargs="?")
    asked = parser.parse_args()
    if asked.what == "speed":
        if asked.data is None:
            parser.error("say where the data is")
        record.write("patterns_speed", {"seed": 0, **speed(asked.data)})
    else:
        record.write("patterns_errors", {"seed": "0 to runs - 1", **errors()})


if __name__ == "__main__":
    main()
