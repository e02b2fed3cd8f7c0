"""The test of Cochran, Mantel and Haenszel, and what it can reach: from the margins of a pattern alone.

A pattern holds in ``x[j]`` of the ``sizes[j]`` samples of stratum ``j``, of which ``ones[j]`` have label 1. All
functions take many patterns at once, ``x`` being ``[..., strata]``, and give statistics; `p_value` turns these into
p-values.
"""

from __future__ import annotations

import numpy as np

from .findings import Floats


def p_value(statistic: Floats) -> Floats:
    """The tail of the chi-squared distribution with one degree of freedom, accurate down to 1e-300.

    >>> float(p_value(np.array(3.841458820694124)).round(12))
    0.05
    """
    from scipy.special import erfc

    tail: Floats = np.asarray(erfc(np.sqrt(np.asarray(statistic) / 2)), np.float64)
    return tail


def upper(p: float) -> float:
    """The statistic whose p-value is ``p``."""
    from scipy.special import erfcinv, ndtri_exp

    # Far out in the tail the inverse of the logarithm keeps the digits.
    return float(2 * erfcinv(p) ** 2) if p > 1e-10 else float(ndtri_exp(np.log(p / 2)) ** 2)


def total(terms: Floats) -> Floats:
    """The sum over the strata, from the first to the last: every engine adds in the same order."""
    added: Floats = np.cumsum(terms, axis=-1)[..., -1]
    return added


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator > 0)


def _moments(x: Floats, sizes: Floats, ones: Floats) -> tuple[Floats, Floats]:
    share = ones / sizes
    return total(share * x), total(share * (1 - share) * x * (1 - x / sizes))


def statistic(cases: Floats, x: Floats, sizes: Floats, ones: Floats) -> Floats:
    """The test statistic, without continuity correction.

    ``(sum a - sum gamma x)^2 / sum gamma (1 - gamma) x (1 - x / n)`` with ``gamma = ones / sizes``: Cochran's variance,
    so that one stratum gives Pearson's chi-squared. Mantel and Haenszel put ``n^2 (n - 1)`` where this has ``n^3``.

    Args:
        cases: samples of label 1 that hold the pattern, in all strata together, ``[...]``.
        x: samples that hold it, ``[..., strata]``.
        sizes: samples of the strata.
        ones: those of label 1.

    >>> float(statistic(np.array(5.0), np.array([4.0, 5]), np.array([20.0, 30]), np.array([8.0, 12])).round(9))
    1.108597285
    """
    expected, variance = _moments(x, sizes, ones)
    return _ratio((cases - expected) * (cases - expected), variance)


def best_statistic(x: Floats, sizes: Floats, ones: Floats) -> Floats:
    """The greatest statistic that any labels with these margins could give.

    The statistic is a parabola in the number of cases, so it is greatest at one of the two ends.

    >>> float(best_statistic(np.array([4.0, 5]), np.array([20.0, 30]), np.array([8.0, 12])).round(9))
    16.49321267
    """
    expected, variance = _moments(x, sizes, ones)
    fewest = total(np.maximum(0, x - (sizes - ones)))
    most = total(np.minimum(x, ones))
    reach = np.maximum(most - expected, expected - fewest)
    return _ratio(reach * reach, variance)


def _best_prefix(f: Floats, ratio: Floats) -> Floats:
    matters = (f > 0) & (ratio > 0)
    order = np.argsort(np.where(matters, ratio, np.inf), axis=-1, kind="stable")
    f = np.take_along_axis(np.where(matters, f, 0.0), order, axis=-1)
    g = f * np.take_along_axis(ratio, order, axis=-1)
    F, G = np.cumsum(f, axis=-1), np.cumsum(g, axis=-1)
    return np.asarray(_ratio(F * F, G).max(axis=-1))


def envelope(x: Floats, sizes: Floats, ones: Floats) -> Floats:
    """The greatest best statistic of any pattern that holds in a part of these samples.

    Exact, for every ``x``: on each side a stratum counts up to as many samples as could all have the one label,
    and only the first strata in the order of ``g / f`` need be looked at, so that ``k`` strata cost ``k log k``.

    >>> sizes, ones = np.array([10.0, 100]), np.array([2.0, 50])
    >>> best_statistic(np.array([[2.0, 0], [2.0, 1]]), sizes, ones).round(4).tolist()  # more samples, less in reach
    [10.0, 8.7587]
    >>> envelope(np.array([[2.0, 0], [2.0, 1]]), sizes, ones).round(4).tolist()
    [10.0, 10.0]
    """
    share = ones / sizes
    right, left = np.minimum(x, ones), np.minimum(x, sizes - ones)
    return np.maximum(
        _best_prefix((1 - share) * right, share * (1 - right / sizes)),
        _best_prefix(share * left, (1 - share) * (1 - left / sizes)),
    )
