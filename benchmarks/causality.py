"""What interventional embedding entropy costs, as ratios to a plain NumPy loop of the same run; and what it finds.

The loop goes from state to state as the published program does. Processor time stands beside wall time, since other
work may share the machine; the least of several tries counts.

    python benchmarks/causality.py speed [--tries 5]
    python benchmarks/causality.py systems [--seeds 3]
    python benchmarks/causality.py null [--networks 200]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from record import RESULTS, write
from scipy.special import digamma

from niwaki.causality import (
    CausalNetwork,
    CrossMapping,
    EmbeddingEntropy,
    Granger,
    Index,
    InterventionalEntropy,
    TransferEntropy,
    benjamini_hochberg,
    evaluate,
    interventional_embedding_entropy,
    score_matrix,
)
from niwaki.causality.systems import System, eight_maps, henon_chain, logistic_maps

LIBRARIES = ("numba", "scipy", "joblib")


def plain_loop(x: np.ndarray, y: np.ndarray, order: int, k: int = 2, neighbours: int = 10) -> float:
    rows = len(x) - order
    past = np.stack([x[order - j : len(x) - j] for j in range(1, order + 1)], axis=1)
    present = np.stack([y[order - j : len(y) - j] for j in range(order + 1)], axis=1)
    times, out = np.arange(rows), np.empty(rows)
    for i in range(rows):
        square = ((present - present[i]) ** 2).sum(axis=1)
        square[np.abs(times - i) <= order] = np.inf
        near = np.argpartition(square, neighbours)[:neighbours]
        a, b = past[near] - past[i], present[near] - present[i]
        first = np.sort(np.unique(np.hstack([a, b]), axis=0, return_index=True)[1])
        a, b = a[first], b[first]
        of_a = np.abs(a[:, None] - a[None]).max(axis=2)
        of_b = np.abs(b[:, None] - b[None]).max(axis=2)
        reach = np.sort(np.maximum(of_a, of_b), axis=1)[:, k : k + 1]
        counts = digamma((of_a < reach).sum(axis=1)) + digamma((of_b < reach).sum(axis=1))
        out[i] = abs(digamma(k) + digamma(len(a)) - counts.mean())
    return float(out.mean())


def seconds(call: Callable[[], Any], tries: int) -> dict[str, float]:
    wall, processor = [], []
    for _ in range(tries):
        before, spent = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - before)
        processor.append(time.process_time() - spent)
    return {"wall": min(wall), "processor": min(processor)}


def ratios(slow: dict[str, float], fast: dict[str, float]) -> dict[str, float]:
    return {name: slow[name] / fast[name] for name in slow}


def one_pair(length: int, order: int, tries: int) -> dict[str, Any]:
    x, y = np.random.default_rng(0).random((2, length))
    interventional_embedding_entropy(x[:100], y[:100], order)  # compiled before the clock starts
    difference = interventional_embedding_entropy(x, y, order) - plain_loop(x, y, order)
    loop = seconds(lambda: plain_loop(x, y, order), max(2, tries // 2))
    ours = seconds(lambda: interventional_embedding_entropy(x, y, order), 4 * tries)
    kept = sys.modules.pop("niwaki.causality.compiled", None)
    sys.modules["numba"] = None  # type: ignore[assignment]
    plain = seconds(lambda: interventional_embedding_entropy(x, y, order), tries)
    del sys.modules["numba"]
    if kept is not None:
        sys.modules["niwaki.causality.compiled"] = kept
    return {
        "length": length,
        "order": order,
        "difference": difference,
        "loop": loop,
        "compiled": ours,
        "numpy_blocks": plain,
        "loop_over_compiled": ratios(loop, ours),
        "loop_over_numpy_blocks": ratios(loop, plain),
    }


def all_pairs(variables: int, length: int, workers: int, tries: int) -> dict[str, Any]:
    series = np.random.default_rng(0).random((length, variables))
    loop = seconds(lambda: plain_loop(series[:, 0], series[:, 1], 1), 2)
    pairs = variables * (variables - 1)
    score_matrix(series[:100, :3], n_jobs=workers)  # the workers are there before the clock starts
    several = seconds(lambda: score_matrix(series, n_jobs=workers), tries)
    alone = seconds(lambda: score_matrix(series), 1)
    return {
        "variables": variables,
        "length": length,
        "workers": workers,
        "wall_with_workers": several["wall"],
        "alone": alone,
        "loop_per_pair": loop,
        "loop_of_all_pairs_over_wall_with_workers": pairs * loop["wall"] / several["wall"],
        "loop_of_all_pairs_over_alone": {name: pairs * loop[name] / alone[name] for name in loop},
    }


def speed(arguments: argparse.Namespace) -> None:
    pairs = [one_pair(5000, order, arguments.tries) for order in (1, 2)]
    for pair in pairs:
        print(f"T = 5000, order {pair['order']}: {pair['loop_over_compiled']} times the loop", flush=True)
    growth = [one_pair(length, 1, arguments.tries) for length in (1000, 2000, 4000, 8000)]
    matrix = all_pairs(100, 2000, 2, max(2, arguments.tries // 2))
    print(f"100 variables: {matrix['wall_with_workers']:.1f} s with 2 workers")
    print(write("causality", {"libraries": versions(), "pairs": pairs, "growth": growth, "matrix": matrix}))


def versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


METHODS: dict[str, Index] = {
    "interventional, order 1": InterventionalEntropy(1),
    "interventional, order 2": InterventionalEntropy(2),
    "interventional, order 1, k 3, 50 neighbours": InterventionalEntropy(1, 3, 50),
    "Granger, order 2": Granger(2),
    "transfer entropy, order 1": TransferEntropy(1),
    "cross mapping, order 2": CrossMapping(2),
    "embedding entropy, order 1": EmbeddingEntropy(1),
}


def noisy(make: Callable[..., System], share: float, *, seed: int) -> System:
    """Noise on what is observed, as a share of each series' standard deviation."""
    system = make(length=1000, seed=seed)
    noise = np.random.default_rng([seed, 1]).normal(size=system.series.shape)
    return System(system.series + share * system.series.std(axis=0) * noise, system.truth)


def common_driver(*, length: int, coupling: float = 0.2, seed: int = 0) -> System:
    """One map drives two others, which do not act on each other."""
    return logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], length=length, coupling=coupling, seed=seed)


def cases() -> dict[str, Callable[..., System]]:
    found: dict[str, Callable[..., System]] = {}
    for length in (100, 300, 1000):
        found[f"eight maps, T = {length}"] = partial(eight_maps, length=length)
        found[f"nine Henon maps, T = {length}"] = partial(henon_chain, length=length)
        found[f"common driver, T = {length}"] = partial(common_driver, length=length)
    for b in (0.1, 0.2, 0.3):
        found[f"eight maps, coupling {b}"] = partial(eight_maps, length=1000, coupling=b)
        found[f"common driver, coupling {b}"] = partial(common_driver, length=1000, coupling=b)
    for b in (0.1, 0.3, 0.7, 0.9):
        found[f"nine Henon maps, coupling {b}"] = partial(henon_chain, length=1000, coupling=b)
    for share in (0.05, 0.1, 0.2):
        found[f"eight maps, noise {share}"] = partial(noisy, eight_maps, share)
        found[f"nine Henon maps, noise {share}"] = partial(noisy, henon_chain, share)
        found[f"common driver, noise {share}"] = partial(noisy, common_driver, share)
    return found


def systems(arguments: argparse.Namespace) -> None:
    """Rows that the results hold for as many seeds are not made again."""
    kept = RESULTS / "causality_systems.json"
    before = json.loads(kept.read_text()) if kept.exists() else {"rows": [], "seeds": arguments.seeds}
    done = {_key(row): row for row in before["rows"]} if before["seeds"] == arguments.seeds else {}
    rows = []
    for (case, make), (name, method) in itertools.product(cases().items(), METHODS.items()):
        for scale in ("none", "zscore") if name.startswith("interventional") else ("zscore",):
            row = {"system": case, "method": name, "standardise": scale}
            if _key(row) in done:
                rows.append(done[_key(row)])
                continue
            made = [make(seed=seed) for seed in range(arguments.seeds)]
            found = [evaluate(score_matrix(s.series, method, standardise=scale), s.truth) for s in made]
            rows.append(row | {"auroc": [round(f.auroc, 4) for f in found], "aupr": [round(f.aupr, 4) for f in found]})
            print(f"{case:30s} {name:44s} {scale:7s} {np.mean(rows[-1]['auroc']):.3f}", flush=True)
    print(write("causality_systems", {"libraries": versions(), "seeds": arguments.seeds, "rows": rows}))


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return row["system"], row["method"], row["standardise"]


def idle(seed: int, length: int = 150) -> np.ndarray:
    """Six series that have nothing to do with each other: two chaotic maps, two slow noises, two white ones."""
    rng = np.random.default_rng(seed)
    maps = logistic_maps((3.7, 3.9), [], coupling=0.0, length=length, seed=seed).series
    slow = rng.normal(size=(length + 100, 2))
    for t in range(1, len(slow)):
        slow[t] += 0.9 * slow[t - 1]
    return np.hstack([maps, slow[100:], rng.normal(size=(length, 2))])


def null(arguments: argparse.Namespace) -> None:
    """How often a network finds edges where there are none, at level 0.05."""
    rows = []
    for surrogate in ("shift", "iaaft"):
        found = dict.fromkeys(("max", "fdr"), 0)
        for seed in range(arguments.networks):
            network = CausalNetwork(surrogates=99, surrogate=surrogate, correction="max", seed=seed).fit(idle(seed))
            found["max"] += bool(np.nanmin(network.q_) <= 0.05)
            found["fdr"] += bool(np.nanmin(benjamini_hochberg(network.p_)) <= 0.05)
        rows.append({"surrogate": surrogate, "networks_with_any_edge": found})
        print(f"{surrogate}: of {arguments.networks} networks have an edge {found}", flush=True)
    facts = {"libraries": versions(), "networks": arguments.networks, "level": 0.05, "rows": rows}
    print(write("causality_null", facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("speed", "systems", "null"))
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", type=int, default=200)
    arguments = parser.parse_args()
    {"speed": speed, "systems": systems, "null": null}[arguments.part](arguments)


if __name__ == "__main__":
    main()
