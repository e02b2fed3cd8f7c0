"""Made-up findings for the pages about patterns and causes."""

from __future__ import annotations

import numpy as np

from niwaki.report.cause_facts import CauseFacts, Judged, RankedEdge
from niwaki.report.pattern_facts import Found, PatternFacts, Quantiles, Stratum


def pattern_facts(count=60, *, complete=True, covariate="sex", seed=0, long=False):
    rng = np.random.default_rng(seed)
    pool = [f"{'a_very_long_column_name_' * (2 if long else 0)}f{i}={'<&>' if i == 3 else i}" for i in range(14)]
    sets: dict[frozenset[str], None] = {}
    while len(sets) < count:
        size = int(rng.integers(1, 5))
        sets[frozenset(rng.choice(pool, size=size, replace=False).tolist())] = None
    found = []
    for items in sets:
        ratio = float(np.exp(rng.normal(0, 1.2)))
        support = int(rng.integers(20, 900))
        p = 10.0 ** -rng.uniform(6, 40)
        cases = int(support * ratio / (1 + ratio))
        found.append(
            Found(tuple(sorted(items)), support, cases, p, -np.log10(p), ratio, ratio / 1.5, ratio * 1.5, p * 100)
        )
    found.sort(key=lambda one: one.p)
    expected = tuple(np.linspace(0, 4, 60))
    quantiles = (
        Quantiles("within the strata", expected, tuple(e * 1.1 for e in expected), 1.02),
        Quantiles("without the covariate", expected, tuple(e * 2.4 for e in expected), 2.76),
    )
    return PatternFacts(
        "adult.csv", "income is >50K", covariate, 1000, 42,
        (Stratum("Female", 400, 50), Stratum("Male", 600, 220)), 0.05, 1.4e-5, 3525, complete, found, count, (),
        "The threshold is that of LAMP.", quantiles if complete else (), ("age: 3 of 1000 values are missing",),
        {"x=1": "holds for every sample", "y=1": "holds for every sample"}, "niwaki patterns adult.csv --label income",
    )  # fmt: skip


def cause_facts(count=8, *, test=True, truth=True, seed=0, long=False):
    rng = np.random.default_rng(seed)
    names = tuple(f"{'a very long name of ' if long else ''}v{i}" for i in range(count))
    values = rng.gamma(2.0, 0.1, (count, count))
    real = {(i, i + 1) for i in range(count - 1)}
    for i, j in real:
        values[i, j] += 0.6
    np.fill_diagonal(values, np.nan)
    edges = []
    for i in range(count):
        for j in range(count):
            if i != j:
                value = float(values[i, j])
                p = (0.01 if value > 0.5 else 0.4) if test else None
                significant = value > 0.5 if test else None
                true = (i, j) in real if truth else None
                edges.append(RankedEdge(names[i], names[j], value, p, p, significant, true))
    edges.sort(key=lambda edge: -edge.score)
    judged = Judged(0.98, 0.91, len(real), count * (count - 1)) if truth else None
    words = "99 shifted copies of each cause, adjusted for all pairs" if test else ""
    notes = ("'v3' is constant: nothing can be said of it, its scores are 0",)
    method, command = "interventional embedding entropy", "niwaki causes series.csv"
    return CauseFacts("series.csv", names, values, edges, 1000, method, 0.05, words, judged, notes, command)
