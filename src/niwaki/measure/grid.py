"""Costs measured at a few lengths, and what lies between."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_SHARES = (1.0, 0.75, 0.5, 0.25, 0.125)
_COARSE = (1.0, 0.5, 0.125)
_STAIRS, _UNIT = 8, 4
_TELLING = 1.3  # what is dearer by less is noise, or a step


def ladder(size: int, *, multiple: int = 1, coarse: bool = False) -> list[int]:
    """The lengths at which something is measured, the whole one first.

    Long axes are measured at multiples of 8, where kernels do whole vectors.

    Args:
        size: the whole length.
        multiple: what every length must be a multiple of.
        coarse: fewer of them.

    Returns:
        Lengths, falling.

    >>> ladder(256), ladder(24), ladder(3)
    ([256, 192, 128, 64, 32, 8], [24, 18, 12, 6, 3, 1], [3, 2, 1])
    """
    step = max(multiple, 8 if size >= 64 else 1)
    step = step if step % multiple == 0 else multiple
    inner = {max(step, round(size * share / step) * step) for share in (_COARSE if coarse else _SHARES)}
    found = {n for n in inner | {step} if n < size}
    return [size, *sorted(found, reverse=True)]


def stairs(size: int, *, multiple: int = 1) -> list[int]:
    """Lengths that tell at which of them the cost jumps: in front of a likely step and soon behind it.

    A kernel that works in blocks of 16 costs at 20 channels what it costs at 32. All are multiples of 4: what some
    kernels do at 17 channels, eight times slower than at 24, says nothing about the widths between.

    Args:
        size: the whole length.
        multiple: what every length must be a multiple of.

    Returns:
        Lengths, falling.

    >>> stairs(32), stairs(128)[:6]
    ([32, 28, 24, 20, 16, 12, 8, 4], [128, 116, 112, 100, 96, 84])
    """
    unit = -(-_UNIT // multiple) * multiple
    step = max(1, size // _STAIRS // (2 * unit)) * 2 * unit
    found = {n for base in range(0, size, step) for n in (base, base + unit)}
    return [size, *sorted((n for n in found if 0 < n < size), reverse=True)]


def points_of(
    sizes: Sequence[int], multiples: Sequence[int], *, coarse: bool = False, stepped: bool = False
) -> list[tuple[int, ...]]:
    """All combinations of the ladders of several axes, the whole one first; coarser where there are many axes.

    Args:
        sizes: the whole lengths.
        multiples: what the lengths must be multiples of.
        coarse: fewer of them.
        stepped: measure each axis at its stairs, too, the others whole.
    """
    few = coarse or len(sizes) > 2
    ladders = [ladder(n, multiple=m, coarse=few) for n, m in zip(sizes, multiples, strict=True)]
    found = dict.fromkeys(itertools.product(*ladders))
    if stepped and not coarse:
        for axis, (size, multiple) in enumerate(zip(sizes, multiples, strict=True)):
            for n in stairs(size, multiple=multiple):
                found[(*sizes[:axis], n, *sizes[axis + 1 :])] = None
    if stepped and len(sizes) == 1:
        found |= dict.fromkeys((n,) for n in _odd_lengths(sizes[0], multiples[0]))
    return list(found)


def _odd_lengths(size: int, multiple: int) -> list[int]:
    """Up to two lengths at about half and a quarter that are no multiples of `_UNIT`."""
    near = [range(size // share, size // share - _UNIT, -1) for share in (2, 4)]
    found = [next((n for n in some if n > _UNIT and n % _UNIT and n % multiple == 0), 0) for some in near]
    return [n for n in found if n]


@dataclass(frozen=True)
class Line:
    """Costs along one axis, the others whole: lengths and values, rising."""

    lengths: Numbers
    values: Numbers

    def at(self, x: Numbers) -> Numbers:
        """The cost at these lengths."""
        return np.interp(x, self.lengths, self.values)


@dataclass(frozen=True, eq=False)
class Grid:
    """Costs at the crossings of some lengths per axis, and between them.

    Longer is never cheaper, but for `odd`: the values are the mean of the lowest rising values above what was measured
    and the highest below, which leaves rising measurements as they are and halves a bump on both sides. Between the
    crossings the cost is multilinear, below the shortest length it is that of the shortest. Where an axis was
    measured more finely with the others whole, the cost goes from crossing to crossing as it does along that line: by
    its steps.

    Args:
        axes: per axis the lengths, rising.
        values: the measured costs ``[len(axis) per axis]``.
        lines: per axis its line, none for a straight way.
        odd: what lengths that are no multiples of 4 cost beyond that, as a factor; for one axis.
    """

    axes: tuple[tuple[int, ...], ...]
    values: Numbers
    lines: tuple[Line | None, ...] = ()
    odd: float = 1.0

    @cached_property
    def rising(self) -> Numbers:
        """The values that interpolation starts from."""
        return _rising(self.values)

    def at(self, *lengths: Numbers) -> Numbers:
        """The cost at these lengths, one array per axis (they broadcast)."""
        wide = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in lengths)) if lengths else []
        shape = wide[0].shape if wide else ()
        total = np.zeros(shape)
        lines = self.lines or (None,) * len(self.axes)
        spots = [
            _between(np.asarray(axis, dtype=np.float64), x, line)
            for axis, x, line in zip(self.axes, wide, lines, strict=True)
        ]
        for corner in itertools.product((0, 1), repeat=len(self.axes)):
            weight = np.ones(shape)
            index = []
            for up, (low, share, last) in zip(corner, spots, strict=True):
                weight = weight * (share if up else 1 - share)
                index.append(np.minimum(low + up, last))
            total = total + weight * self.rising[tuple(index)]
        return total if self.odd == 1.0 else np.where(wide[0] % _UNIT == 0, total, self.odd * total)


def _rising(values: Numbers) -> Numbers:
    above = below = values
    for axis in range(values.ndim):
        above = np.maximum.accumulate(above, axis=axis)
        below = np.flip(np.minimum.accumulate(np.flip(below, axis), axis=axis), axis)
    return (above + below) / 2


def _between(axis: Numbers, x: Numbers, line: Line | None) -> tuple[NDArray[np.intp], Numbers, int]:
    """The crossing below, how far it is to the next as a share, and the last crossing."""
    last = len(axis) - 1
    low = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, max(last - 1, 0))
    if last == 0:
        return low, np.zeros(x.shape), 0
    knots, at = (line.at(axis), line.at(x)) if line is not None else (axis, x)
    way = knots[low + 1] - knots[low]
    # On a flat part of a line nothing rises until the next crossing.
    share = np.divide(at - knots[low], way, out=np.array(x >= axis[low + 1], dtype=np.float64), where=way > 0)
    return low, np.clip(share, 0.0, 1.0), last


def _crossings(points: Iterable[tuple[int, ...]], axis: int, whole: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of an axis that were measured with the others shorter, too; all where none was."""
    others = {
        at[axis] for at in points if any(n < m for k, (n, m) in enumerate(zip(at, whole, strict=True)) if k != axis)
    }
    return tuple(sorted(others | {whole[axis]} if others else {at[axis] for at in points}))


def _line(points: Mapping[tuple[int, ...], float], axis: int, whole: tuple[int, ...]) -> Line:
    found = sorted(
        (at[axis], cost) for at, cost in points.items() if (*at[:axis], whole[axis], *at[axis + 1 :]) == whole
    )
    lengths, values = np.array(found, dtype=np.float64).T
    return Line(lengths, _rising(values))


def _oddness(points: Mapping[tuple[int, ...], float], even: Grid) -> float:
    """What lengths that are no multiples of 4 cost, over what the multiples say; one where that is not known.

    A depthwise convolution of 17 channels may take three to eight times as long as one of 16 or 20. Lengths below 4
    say nothing of it: so little is as slow as what calling takes.
    """
    odd = [(at[0], cost) for at, cost in points.items() if at[0] % _UNIT and at[0] > _UNIT]
    expected = even.at(np.array([n for n, _ in odd]))
    found = [cost / cheap for (_, cost), cheap in zip(odd, expected, strict=True) if cheap > 0]
    return float(np.median(found)) if found else 1.0


def grid_of(points: Mapping[tuple[int, ...], float]) -> Grid:
    """A grid from measured points: all the crossings of some lengths, and more along single axes.

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
    even: dict[tuple[int, ...], float] = {
        at: cost for at, cost in points.items() if len(at) == 1 and at[0] % _UNIT == 0
    }
    if 1 < len(even) < len(points):
        grid = grid_of(even)
        if (odd := _oddness(points, grid)) > _TELLING:
            return replace(grid, odd=odd)
    whole = tuple(max(lengths) for lengths in zip(*points, strict=True))
    axes = tuple(_crossings(points, k, whole) for k in range(len(whole)))
    values = np.empty([len(axis) for axis in axes])
    for index in np.ndindex(*values.shape):
        key = tuple(axis[i] for axis, i in zip(axes, index, strict=True))
        if key not in points:
            raise ValueError(f"the grid has no value at {key}")
        values[index] = points[key]
    lines = [_line(points, k, whole) for k in range(len(whole))]
    finer = [line if len(line.lengths) > len(axis) else None for line, axis in zip(lines, axes, strict=True)]
    return Grid(axes, values, tuple(finer))
