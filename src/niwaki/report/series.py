"""Curves: from thousands of records to what a picture can hold, without losing the extremes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .read import Record, number

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """A line ``y(x)``, with the band ``low(x) .. high(x)`` around it where there is one. All are ``[n]``."""

    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None

    def __len__(self) -> int:
        """How many points there are."""
        return len(self.x)


def curve(records: Sequence[Record], x: str, y: str) -> Curve:
    """The points of a run that hold both numbers; others are left out.

    Args:
        records: records of one kind, in order.
        x: the name of one number.
        y: the name of the other.

    Returns:
        The curve.

    >>> curve([{"step": 1, "loss": 2.0}, {"step": 2, "loss": None}], "step", "loss").y.tolist()
    [2.0]
    """
    pairs = [(a, b) for r in records if (a := number(r, x)) is not None and (b := number(r, y)) is not None]
    points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return Curve(points[:, 0], points[:, 1])


def thin(line: Curve, most: int) -> Curve:
    """At most ``most`` points; every part of the line keeps its lowest and its highest one.

    Args:
        line: the curve; a band is thinned at the same points.
        most: how many points may stay, at least 4.

    Returns:
        The curve itself if it is short enough. Else its ends and the extremes of equal stretches.

    >>> thin(Curve(np.arange(100.0), np.eye(1, 100, 37)[0]), 10).y.max()
    np.float64(1.0)
    """
    n = len(line)
    if n <= most:
        return line
    edges = np.linspace(1, n - 1, max(1, (most - 2) // 2) + 1).astype(int)
    stay = {0, n - 1}
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        part = line.y[begin:end]
        if len(part):
            stay |= {int(begin + part.argmin()), int(begin + part.argmax())}
    at = np.array(sorted(stay))
    band = [None if side is None else side[at] for side in (line.low, line.high)]
    return Curve(line.x[at], line.y[at], *band)


def envelope(line: Curve, edges: Array) -> Curve:
    """The mean of each stretch, with a band from its lowest to its highest value.

    Args:
        line: the curve.
        edges: where stretches begin and end, rising ``[m + 1]``; the last stretch holds its end.

    Returns:
        One point for each stretch that is not empty, at the mean of its ``x``.

    >>> small = envelope(Curve(np.arange(4.0), np.array([1.0, 3.0, 2.0, 8.0])), np.array([0.0, 2.0, 4.0]))
    >>> small.x.tolist(), small.y.tolist(), small.low.tolist(), small.high.tolist()
    ([0.5, 2.5], [2.0, 5.0], [1.0, 2.0], [3.0, 8.0])
    """
    where = _stretch(line, edges)
    parts = [where == i for i in range(len(edges) - 1)]
    full = [part for part in parts if part.any()]
    if not full:
        return Curve(line.x[:0], line.y[:0], line.y[:0], line.y[:0])
    columns = [(line.x[p].mean(), line.y[p].mean(), line.y[p].min(), line.y[p].max()) for p in full]
    return Curve(*np.array(columns).T)


def _stretch(line: Curve, edges: Array) -> NDArray[np.int64]:
    inside = np.searchsorted(edges, line.x, side="right") - 1
    return np.where(line.x == edges[-1], len(edges) - 2, inside)


def over_seeds(lines: Sequence[Curve]) -> Curve:
    """The mean of several runs, with a band from the lowest to the highest of them.

    Each run is read off at every ``x`` that any of them has, along straight lines between its points, where all of them
    have something to say.

    Args:
        lines: one curve per run.

    Returns:
        The mean with its band; a single run has no band.

    >>> a, b = Curve(np.array([0.0, 2.0]), np.array([0.0, 2.0])), Curve(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    >>> mean = over_seeds([a, b])
    >>> mean.x.tolist(), mean.y.tolist(), mean.low.tolist(), mean.high.tolist()
    ([0.0, 1.0], [0.5, 1.0], [0.0, 1.0], [1.0, 1.0])
    """
    lines = [line for line in lines if len(line)]
    if len(lines) < 2:
        return lines[0] if lines else Curve(np.empty(0), np.empty(0))
    grid = np.unique(np.concatenate([line.x for line in lines]))
    grid = grid[(grid >= max(line.x[0] for line in lines)) & (grid <= min(line.x[-1] for line in lines))]
    values = np.stack([np.interp(grid, line.x, line.y) for line in lines])
    return Curve(grid, values.mean(0), values.min(0), values.max(0))


def smoothed(lines: Sequence[Curve], stretch: float) -> Curve:
    """Many noisy points of one or several runs as one line with its band.

    Curves with fewer points than stretches stay as they are. Others are averaged over equal stretches of ``x``. The
    band of a single run goes from the lowest to the highest point of the stretch, that of several from the lowest to
    the highest run.

    Args:
        lines: one curve per run.
        stretch: the length of a stretch; the first one begins at 0.

    Returns:
        The mean line with its band.
    """
    lines = [line for line in lines if len(line)]
    last = max((float(line.x[-1]) for line in lines), default=0.0)
    edges: Array = stretch * np.arange(max(1, math.ceil(last / stretch - 1e-9)) + 1, dtype=np.float64)
    edges[-1] = max(edges[-1], last)
    if all(len(line) < len(edges) for line in lines):
        return over_seeds(lines)
    shapes = [envelope(line, edges) for line in lines]
    return shapes[0] if len(shapes) == 1 else over_seeds(shapes)


def value_at(line: Curve, x: float) -> float | None:
    """The value at ``x``, on the straight line between the points around it; ``None`` outside the curve.

    >>> value_at(Curve(np.array([0.0, 10.0]), np.array([1.0, 3.0])), 2.5)
    1.5
    """
    if not len(line) or not line.x[0] <= x <= line.x[-1]:
        return None
    return float(np.interp(x, line.x, line.y))
