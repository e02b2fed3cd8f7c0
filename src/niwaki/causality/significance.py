"""From scores and their surrogates to p values, for one pair and for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .embedding import Standardise, standardised
from .errors import CausalityError
from .frame import Floats, Table, as_table
from .index import Index
from .interventional import InterventionalEntropy
from .scores import Surrogates, scores_of


def p_values(values: Floats | float, null: Floats) -> Floats:
    """``(1 + #{surrogates >= score}) / (1 + surrogates)`` for each score.

    Args:
        values: scores ``[...]``; NaN gives NaN.
        null: scores of the surrogates, ``[surrogates, ...]``.
    """
    p = (1 + (null >= values).sum(axis=0)) / (1 + len(null))
    return np.where(np.isnan(values), np.nan, p)


def benjamini_hochberg(p: Floats, of: int | None = None) -> Floats:
    """Adjusted p values that bound the share of false edges among those taken; NaN stays NaN.

    Args:
        p: to be adjusted.
        of: how many there are in all, where some are not known; they count as 1, so that what is found without them is
            found with them, too.

    >>> benjamini_hochberg(np.array([0.01, 0.04, 0.03, np.nan])).tolist()
    [0.03, 0.04, 0.04, nan]

    Source: Benjamini and Hochberg 1995.
    """
    found = np.full(p.shape, np.nan)
    there = ~np.isnan(p)
    given = p[there]
    order = np.argsort(-given, kind="stable")
    ranks = np.arange(len(given), 0, -1)
    count = len(given) if of is None else of
    adjusted = np.empty(len(given))
    adjusted[order] = np.minimum.accumulate(np.minimum(given[order] * count / ranks, 1.0))
    found[there] = adjusted
    return found


def max_statistic(values: Floats, null: Floats) -> Floats:
    """Values of p adjusted for the largest score of all pairs: they bound the chance of any false edge.

    Pairs differ in the level and spread of their surrogates, so each is first shifted and scaled by the mean and
    standard deviation over its surrogates and itself, which keeps the comparison exact where score and surrogates are
    exchangeable.

    Args:
        values: scores ``[...]``; NaN is left out.
        null: scores of the surrogates, ``[surrogates, ...]``.
    """
    there = ~np.isnan(values)
    every = np.concatenate([values[None, there], null[:, there]])
    spread = every.std(axis=0)
    moves = every.max(axis=0) > every.min(axis=0)
    # A constant's scores are all the same: at the bottom, so that they never decide which is the largest.
    level = np.where(moves, (every - every.mean(axis=0)) / np.where(moves, spread, 1.0), -np.inf)
    largest = level[1:].max(axis=1)
    found = np.full(values.shape, np.nan)
    found[there] = (1 + (largest[:, None] >= level[0]).sum(axis=0)) / (1 + len(null))
    return found


@dataclass(frozen=True)
class Significance:
    """One score and what surrogates of the cause score.

    Args:
        score: of the pair.
        p: share of surrogates, the pair itself included, that score as high.
        null: the surrogates' scores, ``[surrogates]``.
    """

    score: float
    p: float
    null: Floats


def significance(
    x: Any,
    y: Any,
    method: Index | None = None,
    *,
    standardise: Standardise = "zscore",
    surrogates: Surrogates | int = 99,
) -> Significance:
    """Whether ``x`` acts on ``y`` more than copies of it do that cannot.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        method: the index; `InterventionalEntropy` by default.
        standardise: how each component is rescaled first.
        surrogates: how many, or how, surrogates of the cause are made.

    Raises:
        CausalityError: if no surrogates are asked.
    """
    how = Surrogates(surrogates) if isinstance(surrogates, int) else surrogates
    if how.count < 1:
        raise CausalityError(f"{how.count} surrogates give no p value; ask for 19 at least, better 99")
    method = InterventionalEntropy() if method is None else method
    table = as_table({"x": x, "y": y})
    method.check(table.length)
    table = Table(table.names, tuple(standardised(block, standardise) for block in table.series))
    scores = scores_of(table, method, 1, how.count, how.copies(table, method.window))[:, 0]
    return Significance(float(scores[0]), float(p_values(scores[0], scores[1:])), scores[1:])
