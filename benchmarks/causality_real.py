"""Causes found in real data beside what is known of them: a worm's wiring, COVID-19 in Japan, genes of the day.

    python benchmarks/causality_real.py DATA        # DATA: the folder with the files of causal_data.py

A set of which a file is missing is left out, and why is said. Every cell is kept as it is done: the same command goes
on where it was cut off. Beside the indices of time stands the plain correlation, which knows no time and no direction.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import causal_data
import numpy as np
from causal_data import Recorded
from causality import METHODS, versions
from numpy.typing import NDArray
from record import RESULTS, write
from scipy.stats import spearmanr

from niwaki.causality import (
    CausalityError,
    ScoreMatrix,
    Surrogates,
    evaluate,
    max_statistic,
    score_matrix,
)

NAME, LEVEL, SHUFFLES = "causality_real", 0.05, 999
QUICK = ("interventional, order 1", "Granger, order 2", "cross mapping, order 2")


@dataclass(frozen=True)
class Case:
    """One set of data, prepared in one way.

    Args:
        needs: files.
        make: from the folder and a seed to the series and what is known.
        seeds: of series that are made; one for those that were recorded.
        lag: steps between delays.
        surrogates: for the p-values.
        tested: the indices for which there are p-values; those that take long have none where there are many pairs.
    """

    needs: tuple[str, ...]
    make: Callable[[Path, int], Recorded]
    seeds: int
    lag: int
    surrogates: Surrogates
    tested: tuple[str, ...] = tuple(METHODS)


def _neurons(folder: Path, seed: int, *, dynamics: str) -> Recorded:
    names, weights, edges, _ = causal_data.wiring(folder)
    series = causal_data.alive(weights, dynamics=dynamics, length=1000, seed=seed)
    found, unclear = ([(names[i], names[j]) for i, j in np.argwhere(at)] for at in (edges, (weights > 0) & ~edges))
    return Recorded(dict(zip(names, series.T, strict=True)), tuple(found), tuple(unclear))


def _prefectures(folder: Path, seed: int, *, is_common_left_out: bool) -> Recorded:
    return causal_data.prefectures(folder, is_common_left_out=is_common_left_out)


def _genes(folder: Path, seed: int) -> Recorded:
    return causal_data.genes(folder)


def cases() -> dict[str, Case]:
    # Two days leave no room to shift genes by ten windows; and a shift by a whole day would be none.
    spectrum, shifted = Surrogates(99, "iaaft"), Surrogates(19)
    found = {}
    for lag in (1, 3):
        found[f"genes, delays of {lag} h"] = Case((causal_data.GENES,), _genes, 1, lag, spectrum)
    for name, is_out in (("prefectures", False), ("prefectures, common course left out", True)):
        made = partial(_prefectures, is_common_left_out=is_out)
        found[name] = Case((causal_data.CASES,), made, 1, 7, shifted, QUICK)
    worm = (causal_data.WIRING, causal_data.OLDER_WIRING)
    for dynamics in ("maps", "rates"):
        found[f"neurons, {dynamics}"] = Case(worm, partial(_neurons, dynamics=dynamics), 3, 1, shifted, QUICK)
    return found


def correlation(recorded: Recorded) -> ScoreMatrix:
    values = np.abs(np.corrcoef(np.stack(list(recorded.series.values()))))
    values = (values + values.T) / 2  # the same both ways, to the last digit
    np.fill_diagonal(values, np.nan)
    empty = np.zeros((0, *values.shape))
    return ScoreMatrix(tuple(recorded.series), values, METHODS["Granger, order 2"], "zscore", empty)


def of_relabelled(scores: ScoreMatrix, recorded: Recorded, auroc: float) -> float:
    """How often variables with their names dealt out anew agree with the truth as well."""
    rng, as_good = np.random.default_rng(0), 0
    for _ in range(SHUFFLES):
        order = rng.permutation(len(scores.names))
        shuffled = replace(scores, values=scores.values[np.ix_(order, order)])
        as_good += evaluate(shuffled, recorded.edges, ignore=recorded.unclear).auroc >= auroc
    return (1 + as_good) / (1 + SHUFFLES)


def one_way(scores: ScoreMatrix, recorded: Recorded) -> float | None:
    """Of edges whose other direction is none, the share that scores higher than it; ties count half."""
    known = set(recorded.edges) | set(recorded.unclear)
    both = [(scores.score(a, b), scores.score(b, a)) for a, b in recorded.edges if (b, a) not in known]
    return float(np.mean([(there > back) + (there == back) / 2 for there, back in both])) if both else None


def judged(scores: ScoreMatrix, recorded: Recorded) -> dict[str, Any]:
    found = evaluate(scores, recorded.edges, ignore=recorded.unclear)
    facts: dict[str, Any] = {
        "auroc": round(found.auroc, 4),
        "aupr": round(found.aupr, 4),
        "prevalence": round(found.prevalence, 4),
        "p_of_names": of_relabelled(scores, recorded, found.auroc),
        "one_way": one_way(scores, recorded),
    }
    if len(scores.null):
        significant = max_statistic(scores.values, scores.null) <= LEVEL
        pairs = {(scores.names[i], scores.names[j]) for i, j in np.argwhere(significant)}
        facts["significant"] = len(pairs)
        facts["significant_true"] = len(pairs & set(recorded.edges))
        facts["significant_unclear"] = len(pairs & set(recorded.unclear))
    return facts


def flow(scores: ScoreMatrix, recorded: Recorded) -> dict[str, Any]:
    """Who sends more than is received; and whether that is just who has many cases."""
    out: NDArray[Any] = np.nanmean(scores.values, axis=1)
    net = out - np.nanmean(scores.values, axis=0)
    size = [recorded.series[name].mean() for name in scores.names]
    first = np.argsort(-net)
    return {
        "most_net_outflow": [scores.names[i] for i in first[:5]],
        "place_of_tokyo": int(np.flatnonzero(first == scores.names.index("Tokyo"))[0]) + 1,
        "rank_correlation_with_cases": round(float(spearmanr(net, size).statistic), 3),
    }


def cell(case: Case, made: list[Recorded], name: str) -> dict[str, Any]:
    begun, rows, method = time.process_time(), [], METHODS.get(name)
    for seed, recorded in enumerate(made):
        if method is None:
            scores = correlation(recorded)
        else:
            how = case.surrogates if seed == 0 and name in case.tested else 0
            try:
                scores = score_matrix(recorded.series, replace(method, lag=case.lag), surrogates=how)
            except CausalityError as error:
                return {"refused": str(error)}
        is_flow = method is not None and "Tokyo" in scores.names
        rows.append(judged(scores, recorded) | (flow(scores, recorded) if is_flow else {}))
    return {"seeds": rows, "processor_seconds": round(time.process_time() - begun, 1)}


def facts(folder: Path) -> dict[str, Any]:
    """What the sets are like: shares of the variance, and how far two tables of one wiring agree."""
    found: dict[str, Any] = {}
    if (folder / causal_data.GENES).exists():
        series = causal_data.genes(folder).series
        hours = 2 * np.pi * np.arange(48) / 24
        day = np.column_stack([np.ones(48), np.cos(hours), np.sin(hours)])
        left = {name: np.linalg.lstsq(day, values, rcond=None)[1][0] for name, values in series.items()}
        found["of_the_day"] = {name: round(1 - left[name] / (48 * series[name].var()), 3) for name in series}
    if (folder / causal_data.CASES).exists():
        cases = np.stack(list(causal_data.prefectures(folder, is_common_left_out=False).series.values()))
        scaled = (cases - cases.mean(axis=1, keepdims=True)) / cases.std(axis=1, keepdims=True)
        found["first_component_of_prefectures"] = round(np.linalg.svd(scaled)[1][0] ** 2 / scaled.size, 3)
    if all((folder / file).exists() for file in (causal_data.WIRING, causal_data.OLDER_WIRING)):
        _, weights, edges, older = causal_data.wiring(folder)
        pairs = {"edges": edges, "all": weights > 0, "older": older, "edges_in_older": edges & older}
        found["wiring"] = {name: int(which.sum()) for name, which in pairs.items()}
    return found


def wanted(folder: Path, done: dict[str, Any]) -> Iterator[tuple[str, Case, list[str]]]:
    for name, case in cases().items():
        absent = [file for file in case.needs if not (folder / file).exists()]
        left = [method for method in (*METHODS, "correlation") if method not in done.get(name, {})]
        if absent:
            print(f"{name}: left out, {folder} holds no {', '.join(absent)}", flush=True)
        elif left:
            yield name, case, left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    folder = parser.parse_args().data
    kept = RESULTS / f"{NAME}.json"
    done: dict[str, Any] = json.loads(kept.read_text())["cases"] if kept.exists() else {}
    about = facts(folder)
    if about:
        write(NAME, {"libraries": versions(), "level": LEVEL, "facts": about, "cases": done})
    for name, case, left in wanted(folder, done):
        made = [case.make(folder, seed) for seed in range(case.seeds)]
        for method in left:
            done.setdefault(name, {})[method] = cell(case, made, method)
            write(NAME, {"libraries": versions(), "level": LEVEL, "facts": about, "cases": done})
            row = done[name][method]
            told = [(s["auroc"], s["p_of_names"], s.get("significant")) for s in row.get("seeds", [])]
            print(f"{name:38s} {method:44s} {told or row['refused']}", flush=True)


if __name__ == "__main__":
    main()
