"""The statistics of `bounds` for one pattern at a time, compiled."""

from __future__ import annotations

import numpy as np

from .compiling import compiled
from .findings import Floats, Ints


@compiled
def statistic(cases: float, x: Floats, sizes: Floats, ones: Floats) -> float:
    """The statistic of Cochran, Mantel and Haenszel of a pattern with these margins and this many cases."""
    expected = variance = 0.0
    for j in range(len(x)):
        share = ones[j] / sizes[j]
        expected += share * x[j]
        variance += share * (1.0 - share) * x[j] * (1.0 - x[j] / sizes[j])
    return (cases - expected) * (cases - expected) / variance if variance > 0.0 else 0.0


@compiled
def best_statistic(x: Floats, sizes: Floats, ones: Floats) -> float:
    """The greatest statistic that any labels could give a pattern with these margins."""
    expected = variance = fewest = most = 0.0
    for j in range(len(x)):
        share = ones[j] / sizes[j]
        expected += share * x[j]
        variance += share * (1.0 - share) * x[j] * (1.0 - x[j] / sizes[j])
        fewest += max(0.0, x[j] - (sizes[j] - ones[j]))
        most += min(x[j], ones[j])
    if variance <= 0.0:
        return 0.0
    reach = max(most - expected, expected - fewest)
    return reach * reach / variance


@compiled
def pooled_statistic(counts: Ints, sizes: Floats, ones: Floats) -> float:
    """The statistic of the table that ignores the strata, from the samples in each cell."""
    cases = float(counts[::2].sum())
    x = float(counts.sum())
    size = sizes.sum()
    share = ones.sum() / size
    variance = share * (1.0 - share) * x * (1.0 - x / size)
    return (cases - share * x) * (cases - share * x) / variance if variance > 0.0 else 0.0


@compiled
def _side(x: Floats, sizes: Floats, ones: Floats, work: Floats, right: bool) -> int:
    """Numerator and variance terms of the strata that matter for one side, with their ratios; how many there are."""
    count = 0
    for j in range(len(x)):
        share = ones[j] / sizes[j]
        z = min(x[j], ones[j] if right else sizes[j] - ones[j])
        f = (1.0 - share) * z if right else share * z
        ratio = (share if right else 1.0 - share) * (1.0 - z / sizes[j])
        if f > 0.0 and ratio > 0.0:
            work[0, count] = ratio
            work[1, count] = f
            work[2, count] = f * ratio
            count += 1
    return count


@compiled
def _best_prefix(work: Floats, count: int) -> float:
    """The greatest ``F^2 / G`` over the first strata in the order of their ratios."""
    best = F = G = 0.0
    if count > 24:
        for i in np.argsort(work[0, :count]):
            F += work[1, i]
            G += work[2, i]
            best = max(best, F * F / G)
        return best
    for i in range(1, count):
        ratio, f, g = work[0, i], work[1, i], work[2, i]
        place = i
        while place > 0 and work[0, place - 1] > ratio:
            for row in range(3):
                work[row, place] = work[row, place - 1]
            place -= 1
        work[0, place], work[1, place], work[2, place] = ratio, f, g
    for i in range(count):
        F += work[1, i]
        G += work[2, i]
        best = max(best, F * F / G)
    return best


@compiled
def envelope(x: Floats, sizes: Floats, ones: Floats, work: Floats) -> float:
    """The greatest best statistic of any pattern within these margins; ``work`` is ``[3, strata]``."""
    best = 0.0
    for right in (True, False):
        count = _side(x, sizes, ones, work, right)
        best = max(best, _best_prefix(work, count))
    return best


@compiled
def reaches(x: Floats, sizes: Floats, ones: Floats, least: float, work: Floats) -> bool:
    """Whether the envelope is at least ``least``; mostly told by two bounds that need no sorting."""
    right_f = right_g = left_f = left_g = 0.0
    for j in range(len(x)):
        size, one, part = sizes[j], ones[j], 1.0 / sizes[j]  # one division is enough
        zero, spread = size - one, one * (size - one) * part * part
        z = min(x[j], one)
        right_f += zero * part * z
        right_g += spread * z * (1.0 - z * part)
        z = min(x[j], zero)
        left_f += one * part * z
        left_g += spread * z * (1.0 - z * part)
    # All strata together are one of the prefixes.
    if right_f * right_f >= max(least * right_g, 1e-300) or left_f * left_f >= max(least * left_g, 1e-300):
        return True
    if least <= 0.0:
        return True
    for right in (True, False):
        count = _side(x, sizes, ones, work, right)
        most = 0.0
        for i in range(count):
            most += work[1, i] / work[0, i]
        # By Cauchy and Schwarz no prefix exceeds the sum over the single strata.
        if most >= least and _best_prefix(work, count) >= least:
            return True
    return False
