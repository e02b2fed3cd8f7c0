"""A heat strip per row: how something moved over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..readable import share
from ..series import Array
from .axes import Axis, Scale, across
from .rows import name_column, row_height, row_names
from .svg import Frame, cell, drawing, tag, title

LEVELS = 10
# Cells in one picture; more would be too fine to see and too heavy to send.
_CELLS = 3000


@dataclass(frozen=True, eq=False)
class HeatChart:
    """Values ``[rows, times]``, each holding from its time to the next one; the last holds until ``end``."""

    title: str
    description: str
    rows: Sequence[str]
    times: Array
    values: Array
    end: float
    x: Axis


def level(value: float, low: float, high: float) -> int:
    """Which of the ten shades shows a value, by powers: densities differ by factors.

    >>> [level(v, 0.01, 1.0) for v in (0.01, 0.1, 1.0)]
    [0, 5, 9]
    """
    if high <= low or value <= low:
        return 0
    return min(LEVELS - 1, int(LEVELS * math.log(value / low) / math.log(high / low)))


def bounds(values: Array) -> tuple[float, float]:
    """The lowest value above zero and the highest."""
    found = values[values > 0]
    return (float(found.min()), float(found.max())) if len(found) else (1.0, 1.0)


def draw_heat(chart: HeatChart, frame: Frame, ident: str) -> str:
    """Draw a heat chart.

    Args:
        chart: what to draw, at least one row and time.
        frame: how wide; the height follows from the rows.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    height = row_height(len(chart.rows))
    frame = replace(frame, left=name_column(chart.rows, frame), right=16, top=8, bottom=38)
    frame = replace(frame, height=frame.top + height * len(chart.rows) + 4 + frame.bottom)
    left, _, right, bottom = frame.inner
    x = Scale(0.0, max(chart.end, float(chart.times[-1]) + 1), left, right)
    times, values = _fewer(chart, max(12, min(_CELLS // len(chart.rows), int(frame.width / 4))))
    low, high = bounds(values)
    cells: dict[int, list[str]] = {}
    parts = row_names(chart.rows, frame, height)
    for row, name in enumerate(chart.rows):
        y = frame.top + height * row
        for begin, end, shade in _runs(times, [level(v, low, high) for v in values[row]], chart.end):
            cells.setdefault(shade, []).append(cell(x(begin), y + 1, x(end) - x(begin), height - 2))
        parts.append(_cover(name, values[row], chart, (left, y, right - left, height)))
    shades = [tag("path", d="".join(some), class_=f"heat heat-{shade}") for shade, some in sorted(cells.items())]
    parts = shades + parts + across(frame, chart.x, x, bottom)
    return drawing(frame, ident, chart.title, chart.description, parts)


def _fewer(chart: HeatChart, most: int) -> tuple[Array, Array]:
    n = len(chart.times)
    if n <= most:
        return chart.times, chart.values
    at = np.unique(np.linspace(0, n - 1, most).round().astype(int))
    return chart.times[at], chart.values[:, at]


def _runs(times: Array, shades: Sequence[int], end: float) -> list[tuple[float, float, int]]:
    """Neighbours of one shade as one cell."""
    out: list[tuple[float, float, int]] = []
    for begin, until, shade in zip(times, [*times[1:], end], shades, strict=True):
        if out and out[-1][2] == shade:
            out[-1] = (out[-1][0], float(until), shade)
        else:
            out.append((float(begin), float(until), shade))
    return out


def _cover(name: str, values: Array, chart: HeatChart, box: tuple[float, float, float, float]) -> str:
    """An invisible rectangle over a row, for its tooltip."""
    words = f"{name}: {_journey(values)}"
    return tag("rect", title(words), x=box[0], y=box[1], width=box[2], height=box[3], class_="cover")


def _journey(values: Array) -> str:
    """From where to where a row went, and between which values."""
    begin, end, low, high = (share(float(v)) for v in (values[0], values[-1], values.min(), values.max()))
    return f"{begin} at first, {end} at the end, between {low} and {high}"
