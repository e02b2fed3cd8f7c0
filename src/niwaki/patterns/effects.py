"""How strong a pattern is, beside how sure."""

from __future__ import annotations

import numpy as np

from .bounds import total
from .findings import Floats


def odds_ratio(
    cases: Floats, x: Floats, sizes: Floats, ones: Floats, *, confidence: float = 0.95
) -> tuple[Floats, Floats, Floats]:
    """The odds ratio of Mantel and Haenszel with the confidence interval of Robins, Breslow and Greenland (1986).

    ``sum(a d / n) / sum(b c / n)``, where of the samples that hold the pattern ``a`` have label 1 and ``b`` label 0,
    of the others ``c`` and ``d``. If one of the sums is 0 the ratio is 0 or infinite, and the interval everything; if
    both are, the ratio is not a number.

    Args:
        cases: samples of label 1 that hold the pattern, ``[patterns, strata]``.
        x: samples that hold it, ``[patterns, strata]``.
        sizes: samples of the strata.
        ones: those of label 1.
        confidence: of the interval.

    Returns:
        The ratio, the lower and the upper end.
    """
    from scipy.special import ndtri

    a, b, c = cases, x - cases, ones - cases
    d = sizes - x - c
    r, s = a * d / sizes, b * c / sizes
    P, Q = (a + d) / sizes, (b + c) / sizes
    R, S = total(r), total(s)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = R / S
        variance = total(P * r) / (2 * R * R) + total(P * s + Q * r) / (2 * R * S) + total(Q * s) / (2 * S * S)
        half = ndtri(0.5 + confidence / 2) * np.sqrt(variance)
        low, high = ratio * np.exp(-half), ratio * np.exp(half)
    has_interval = (R > 0) & (S > 0)
    return ratio, np.where(has_interval, low, 0.0), np.where(has_interval, high, np.inf)


def inflation(statistics: Floats) -> float:
    """Genomic inflation: the median statistic over the median of chi-squared with one degree of freedom.

    Near 1 when most patterns have nothing to do with the labels; far above it, something that the test does not know
    of moves them all.
    """
    return float(np.median(statistics) / 0.45493642311957283) if len(statistics) else float("nan")


def quantiles(statistics: Floats, points: int = 120) -> Floats:
    """Statistics from the greatest down beside the p-values expected at their ranks, more densely at the top.

    Args:
        statistics: one row for each test, ``[tests, patterns]``.
        points: about how many.

    Returns:
        The expected p-values and below them the statistics of each test, ``[1 + tests, points]``.

    >>> quantiles(np.array([[1.0, 4.0]])).tolist()
    [[0.25, 0.75], [4.0, 1.0]]
    """
    count = statistics.shape[1]
    if not count:
        return np.zeros((1 + len(statistics), 0))
    ranks = np.unique(np.geomspace(1, count, points).round().astype(np.int64))
    return np.vstack([(ranks - 0.5) / count, -np.sort(-statistics, axis=1)[:, ranks - 1]])


def false_discovery(p: Floats, family: Floats) -> Floats:
    """The q-values of some p-values among a family of p-values (Benjamini and Hochberg 1995).

    >>> family = np.array([0.01, 0.02, 0.03, 0.5])
    >>> false_discovery(family, family).round(3).tolist()
    [0.04, 0.04, 0.04, 0.5]
    """
    ordered = np.sort(family)
    scaled = ordered * len(ordered) / np.arange(1, len(ordered) + 1)
    least = np.append(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return np.asarray(np.minimum(least[np.searchsorted(ordered, p)], 1.0))
