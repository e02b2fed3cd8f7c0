"""From what a search has counted to what is significant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import state
from .bounds import p_value, upper
from .effects import false_discovery, inflation, odds_ratio, quantiles
from .findings import Findings, Floats, Ints
from .job import Outcome
from .ladder import LINEAR, capacity
from .layout import Layout
from .memory import new_tally
from .settings import Search
from .shuffling import allowed
from .state import Shuffles, Tally


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the search has decided.

    Args:
        threshold: a pattern is testable if its least p-value reaches it.
        level: a pattern is significant if its p-value does.
        testable: how many there are.
        strict: whether a significant pattern must be testable, too.
        complete: whether all patterns were looked at.
        maxima: the greatest statistic under each shuffle, ascending; none without shuffles.
    """

    threshold: float
    level: float
    testable: int
    strict: bool = True
    complete: bool = True
    maxima: Floats | None = None


def judged(tally: Tally, shuffles: Shuffles, search: Search) -> Verdict:
    """The thresholds that follow from a complete count."""
    if search.permutations:
        maxima = np.sort(shuffles.best)
        level = float(p_value(maxima[-allowed(search.alpha, search.permutations) - 1]))
        return Verdict(level, level, 0, maxima=maxima)
    exact, testable = search.rule == "exact", int(tally.numbers[state.TESTABLE])
    threshold = search.alpha / capacity(int(tally.numbers[state.RUNG]), exact, search.alpha)
    level = threshold if exact or not testable else search.alpha / testable
    return Verdict(threshold, level, testable, strict=search.rule != "reference")


def interim(outcome: Outcome, search: Search) -> Verdict:
    """What is proven although the threshold is not yet known.

    However many of the patterns that were not looked at turn out testable, the threshold stays above ``alpha`` over
    their number and the number counted so far. Against shuffled labels nothing is proven before the end.
    """
    tally, exact = outcome.tally, search.rule == "exact"
    most = int(tally.numbers[state.TESTABLE]) + sum(branch.most for branch in outcome.left)
    most = max(most, math.ceil(capacity(int(tally.numbers[state.RUNG]), exact, search.alpha)))
    level = 0.0 if search.permutations or most > 1e300 else search.alpha / most
    return Verdict(math.nan, level, int(tally.numbers[state.TESTABLE]), strict=False, complete=False)


def collect_from(layout: Layout, search: Search, verdict: Verdict) -> Tally:
    """A tally for the second pass, which knows the thresholds."""
    tally = new_tally(layout, search, state.COLLECT)
    tally.values[state.LEAST] = upper(max(verdict.threshold, verdict.level)) * state.SLACK
    tally.values[state.KEEP] = upper(verdict.level) * state.SLACK
    return tally


def _is_testable(best: Floats, search: Search, verdict: Verdict) -> NDArray[np.bool_]:
    """Whether a greatest statistic stands on the last rung or below it, counted as the search counts."""
    if verdict.maxima is not None:
        return np.asarray(p_value(best) < verdict.level * (1 + 1e-9))
    p = p_value(best)
    if search.rule == "exact" and search.alpha / verdict.threshold <= LINEAR:
        return np.asarray(search.alpha / np.maximum(p, 1e-300) >= round(search.alpha / verdict.threshold))
    return np.asarray(p <= verdict.threshold * (1 + 1e-12))


def _adjusted(own: Floats, maxima: Floats) -> Floats:
    """Family-wise p-values; statistics that differ by rounding count as equal, against the pattern."""
    reached = len(maxima) - np.searchsorted(maxima, own * (1 - 1e-9), side="left")
    return np.asarray((1 + reached) / (1 + len(maxima)))


def _ragged(members: Ints, sizes: Ints, rows: Ints) -> Ints:
    """The members of some rows, in the order of these."""
    starts = (np.cumsum(sizes) - sizes)[rows]
    chosen = sizes[rows]
    offsets = np.cumsum(chosen) - chosen
    return np.asarray(members[np.repeat(starts - offsets, chosen) + np.arange(chosen.sum())])


def _by_p(own: Floats, members: Ints, sizes: Ints, width: int) -> Ints:
    """Rows from the greatest statistic down; equal ones in the order of their items."""
    words = np.zeros((len(own), (width + 63) // 64), np.uint64)
    rows = np.repeat(np.arange(len(own)), sizes)
    bit = np.uint64(1) << (63 - members % 64).astype(np.uint64)
    np.bitwise_or.at(words, (rows, members // 64), bit)
    return np.lexsort((*(~words).T[::-1], -own))


def _in_order(tally: Tally, found: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """Some of the patterns kept, by p-value: their rows, their members, and how many each has."""
    numbers = tally.numbers
    sizes = np.diff(tally.ends[: numbers[state.KEPT]], prepend=0)
    members = _ragged(tally.members[: numbers[state.MEMBERS]].astype(np.int64), sizes, found)
    order = _by_p(tally.kept[1, found], members, sizes[found], width)
    return found[order], _ragged(members, sizes[found], order), sizes[found][order]


def _significant(best: Floats, own: Floats, search: Search, verdict: Verdict) -> NDArray[np.bool_]:
    if verdict.maxima is not None:
        return np.asarray(_adjusted(own, verdict.maxima) <= search.alpha)
    # A level of 0 means that nothing is proven, not even what is too small for a number.
    is_found = (p_value(own) <= verdict.level) & (verdict.level > 0)
    return is_found & _is_testable(best, search, verdict) if verdict.strict else is_found


def gathered(layout: Layout, levels: Ints, search: Search, tally: Tally, verdict: Verdict) -> Findings:
    """The findings: significant patterns with everything that is said about them."""
    numbers = tally.numbers
    logged = tally.best[:, : numbers[state.LOGGED]]
    testable = logged[:, _is_testable(logged[0], search, verdict)] if verdict.complete else logged[:, :0]
    best, own = tally.kept[:, : numbers[state.KEPT]]
    width = int(layout.columns.max(initial=0)) + 1
    found, members, sizes = _in_order(tally, np.flatnonzero(_significant(best, own, search, verdict)), width)
    best, own, cells = best[found], own[found], tally.cells[found].astype(np.int64)
    x, cases = (cells[:, ::2] + cells[:, 1::2]), cells[:, ::2]
    ratio, low, high = odds_ratio(
        cases.astype(float), x.astype(float), layout.sizes, layout.ones, confidence=search.confidence
    )
    return Findings(
        members=members,
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        strata_support=x,
        strata_cases=cases,
        statistic=own,
        p=p_value(own),
        least_p=p_value(best),
        odds_ratio=ratio,
        low=low,
        high=high,
        q=false_discovery(p_value(own), p_value(testable[1])) if verdict.complete else np.full(len(own), np.nan),
        adjusted=None if verdict.maxima is None else _adjusted(own, verdict.maxima),
        threshold=verdict.threshold,
        level=verdict.level,
        testable=testable.shape[1] if verdict.complete else verdict.testable,
        inflation=inflation(testable[1]),
        inflation_pooled=inflation(testable[2]),
        quantiles=quantiles(testable[1:]),
        complete=verdict.complete,
        search=search,
        samples=int(layout.sizes.sum()),
        strata=tuple(levels.tolist()),
        strata_sizes=tuple(layout.sizes.astype(int).tolist()),
        strata_labels=tuple(layout.ones.astype(int).tolist()),
        visited=int(numbers[state.VISITED]),
    )
