"""Delay vectors, and what settings they allow."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from .errors import CausalityError
from .frame import Floats

Standardise = Literal["none", "zscore", "minmax", "rank"]


def _ranks(column: Floats) -> Floats:
    """Mean ranks from 0 to 1; equal values share theirs."""
    _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    means = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(means[place] / max(len(column) - 1, 1))


def standardised(series: Floats, how: Standardise) -> Floats:
    """Each component on a common scale; a constant one only shifted.

    Args:
        series: ``[T, d]``.
        how: ``"none"``, ``"zscore"`` (mean 0, standard deviation 1), ``"minmax"`` (0 to 1) or ``"rank"`` (mean ranks, 0
            to 1).

    Raises:
        CausalityError: if ``how`` is unknown.
    """
    if how not in get_args(Standardise):
        raise CausalityError(f"standardise={how!r} is unknown; choose from {', '.join(get_args(Standardise))}")
    if how == "none":
        return series
    if how == "rank":
        return np.stack([_ranks(column) for column in series.T], axis=1)
    low, high = series.min(0), series.max(0)
    shift, scale = (series.mean(0), series.std(0)) if how == "zscore" else (low, high - low)
    # By its ends, since the standard deviation of a constant may round to something above zero.
    moves = (high > low) & (scale > 0)
    return np.ascontiguousarray(np.where(moves, (series - shift) / np.where(moves, scale, 1.0), 0.0))


def delayed(series: Floats, delays: range, start: int) -> Floats:
    """Delay vectors ``[T - start, d * len(delays)]``, the first at time ``start``."""
    length = len(series)
    return np.concatenate([series[start - delay : length - delay] for delay in delays], axis=1)


def past(series: Floats, order: int, lag: int) -> Floats:
    """The cause's vectors ``(x[t - lag], ..., x[t - order lag])``."""
    return delayed(series, range(lag, order * lag + 1, lag), order * lag)


def present(series: Floats, order: int, lag: int) -> Floats:
    """The effect's vectors ``(y[t], y[t - lag], ..., y[t - order lag])``."""
    return delayed(series, range(0, order * lag + 1, lag), order * lag)


def check_counts(**least: tuple[int, int]) -> None:
    """Whole numbers that must not fall below their least.

    Args:
        least: value and least value by name.

    Raises:
        CausalityError: naming the first that does.
    """
    for name, (value, low) in least.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
            raise CausalityError(f"{name}={value!r} will not do; give a whole number of at least {low}")


def window(order: int, lag: int, theiler: int | None) -> int:
    """Half width of the stretch of time from which no neighbours come.

    Raises:
        CausalityError: if it is narrower than a delay vector is long.
    """
    if theiler is None:
        return order * lag
    check_counts(theiler=(theiler, 0))
    if theiler < order * lag:
        raise CausalityError(
            f"theiler={theiler} is below order * lag = {order * lag}: neighbours would share time points with the "
            "state they are compared with; widen it, or leave it out"
        )
    return theiler


def check_length(length: int, needed: int, why: str) -> None:
    """Whether a series is long enough.

    Raises:
        CausalityError: if not.
    """
    if length < needed:
        raise CausalityError(
            f"the series has {length} time points, {why} take at least {needed}; give longer series or smaller settings"
        )
