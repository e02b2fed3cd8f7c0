"""Costs measured at a few lengths, and what lies between."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
_COARSE = (1.0, 0.5, 0.125)
_FEW = 8


def ladder(size: int, *, multiple: int = 1, coarse: bool = False) -> list[int]:
    """The lengths at which something is measured, the whole one first.

    Long axes are measured at multiples of 8, where kernels do whole vectors; all of these where they are few, as a
    kernel that works in blocks of 16 costs at 56 channels what it costs at 64.

    Args:
        size: the whole length.
        multiple: what every length must be a multiple of.
        coarse: fewer of them.

    Returns:
        Lengths, falling.

    >>> ladder(256), ladder(24), ladder(3)
    ([256, 192, 128, 64, 32, 8], [24, 18, 12, 6, 3, 1], [3, 2, 1])
    >>> ladder(64)
    [64, 56, 48, 40, 32, 24, 16, 8]
    """
    step = max(multiple, 8 if size >= 64 else 1)
    step = step if step % multiple == 0 else multiple
    if size <= _FEW * step and not coarse:
        return [size, *range((size - 1) // step * step, 0, -step)]
    inner = {max(step, round(size * share / step) * step) for share in (_COARSE if coarse else _SHARES)}
    found = {n for n in inner | {step} if n < size}
    return [size, *sorted(found, reverse=True)]


def points_of(sizes: Sequence[int], multiples: Sequence[int], *, coarse: bool = False) -> list[tuple[int, ...]]:
    """All combinations of the ladders of several axes, the whole one first; coarser where there are many axes."""
    few = coarse or len(sizes) > 2
    ladders = [ladder(n, multiple=m, coarse=few) for n, m in zip(sizes, multiples, strict=True)]
    return list(itertools.product(*ladders))


@dataclass(frozen=True, eq=False)
class Grid:
    """Costs at the crossings of some lengths per axis, and between them.

    Longer is never cheaper: the values are the mean of the lowest rising values above what was measured and the
    highest below, which leaves rising measurements as they are and halves a bump on both sides. Between the crossings
    the cost is multilinear, below the shortest length it is that of the shortest.

    Args:
        axes: per axis the lengths, rising.
        values: the measured costs ``[len(axis) per axis]``.
    """

    axes: tuple[tuple[int, ...], ...]
    values: Numbers

    @cached_property
    def rising(self) -> Numbers:
        """The values that interpolation starts from."""
        above = below = self.values
        for axis in range(self.values.ndim):
            above = np.maximum.accumulate(above, axis=axis)
            below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis=axis), axis)
        return (above + below) / 2

    def at(self, *lengths: Numbers) -> Numbers:
        """The cost at these lengths, one array per axis (they broadcast)."""
        wide = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in lengths)) if lengths else []
        shape = wide[0].shape if wide else ()
        total = np.zeros(shape)
        spots = [_between(np.asarray(axis, dtype=np.float64), x) for axis, x in zip(self.axes, wide, strict=True)]
        for corner in itertools.product((0, 1), repeat=len(self.axes)):
            weight = np.ones(shape)
            index = []
            for up, (low, share, last) in zip(corner, spots, strict=True):
                weight = weight * (share if up else 1 - share)
                index.append(np.minimum(low + up, last))
            total = total + weight * self.rising[tuple(index)]
        return total


def _between(axis: Numbers, x: Numbers) -> tuple[NDArray[np.intp], Numbers, int]:
    last = len(axis) - 1
    low = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, max(last - 1, 0))
    if last == 0:
        return low, np.zeros(x.shape), 0
    return low, np.clip((x - axis[low]) / (axis[low + 1] - axis[low]), 0.0, 1.0), last


def grid_of(points: Mapping[tuple[int, ...], float]) -> Grid:
    """A grid from measured points, which must be all the crossings of their lengths.

    Args:
        points: cost by lengths.

    Returns:
        The grid.

    Raises:
        ValueError: a crossing is missing.

    >>> grid = grid_of({(2,): 1.0, (4,): 3.0, (8,): 4.0})
    >>> grid.at(np.array([1, 2, 3, 4, 6, 8, 9])).tolist()
    [1.0, 1.0, 2.0, 3.0, 3.5, 4.0, 4.0]
    """
    axes = tuple(tuple(sorted(set(lengths))) for lengths in zip(*points, strict=True))
    values = np.empty([len(axis) for axis in axes])
    for index in np.ndindex(*values.shape):
        key = tuple(axis[i] for axis, i in zip(axes, index, strict=True))
        if key not in points:
            raise ValueError(f"the grid has no value at {key}")
        values[index] = points[key]
    return Grid(axes, values)
