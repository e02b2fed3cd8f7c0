"""A matrix of scores as a heat map: rows act, columns are acted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..readable import plain
from ..series import Array
from .heat import LEVELS
from .svg import Frame, cell, drawing, shortened, tag, text, title, width_of

_MOST_TIPS = 2000


@dataclass(frozen=True, eq=False)
class MatrixChart:
    """Values ``[n, n]``; the diagonal is not drawn. ``marked`` pairs get a frame."""

    title: str
    description: str
    names: Sequence[str]
    values: Array
    marked: Sequence[tuple[int, int]] = ()


def shade(value: float, low: float, high: float) -> int:
    """Which of the ten shades shows a value, evenly from the lowest to the highest.

    >>> [shade(v, 0.0, 1.0) for v in (0.0, 0.05, 0.55, 1.0)]
    [0, 0, 5, 9]
    """
    return min(LEVELS - 1, int(LEVELS * (value - low) / (high - low))) if high > low else 0


def limits(values: Array) -> tuple[float, float]:
    """The lowest and the highest value off the diagonal."""
    off = values[~np.eye(len(values), dtype=np.bool_)]
    found = off[np.isfinite(off)]
    return (float(found.min()), float(found.max())) if len(found) else (0.0, 0.0)


def draw_matrix(chart: MatrixChart, frame: Frame, ident: str) -> str:
    """Draw a matrix.

    Args:
        chart: what to draw, at least two variables.
        frame: how wide; the height follows.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    count = len(chart.names)
    room = min(frame.width * 0.22, max(width_of(name, 11) for name in chart.names) + 12)
    side = min(44.0, (frame.width - room - 16) / count)
    left, top = room + 4, room + 4
    frame = replace(frame, height=top + side * count + 26)
    low, high = limits(chart.values)
    shades: dict[int, list[str]] = {}
    for i, j in np.argwhere(np.isfinite(chart.values)).tolist():
        if i != j:
            box = cell(left + side * j + 0.5, top + side * i + 0.5, side - 1, side - 1)
            shades.setdefault(shade(float(chart.values[i, j]), low, high), []).append(box)
    parts = [tag("path", d="".join(some), class_=f"heat heat-{at}") for at, some in sorted(shades.items())]
    parts += [_frame_of(pair, left, top, side) for pair in chart.marked]
    parts += _names(chart.names, left, top, side, room)
    parts += _tips(chart, left, top, side)
    words = "row: cause, column: effect"
    parts.append(tag("text", text(words), x=2, y=top + side * count + 18, class_="axis"))
    return drawing(frame, ident, chart.title, chart.description, parts)


def _frame_of(pair: tuple[int, int], left: float, top: float, side: float) -> str:
    box = {"x": left + side * pair[1] + 1, "y": top + side * pair[0] + 1, "width": side - 2, "height": side - 2}
    return tag("rect", **box, class_="marked", data_pair=f"{pair[0]} {pair[1]}")


def _names(names: Sequence[str], left: float, top: float, side: float, room: float) -> list[str]:
    """The names of rows at the left and of columns above, upright; in large matrices now and then."""
    stride = max(1, -int(-10 // side))
    look = "tight" if side < 12 else "small"
    parts = []
    for at in range(0, len(names), stride):
        shown = shortened(names[at], room - 8, 11)
        middle = side * (at + 0.5) + 4
        parts.append(tag("text", title(names[at]), text(shown), x=left - 6, y=top + middle, class_=f"{look} end"))
        turn = f"translate({left + middle - 11:.1f} {top - 6:.1f}) rotate(-90)"
        upright = tag("text", title(names[at]), text(shown), x=0, y=11, class_=look)
        parts.append(tag("g", upright, transform=turn))
    return parts


def _tips(chart: MatrixChart, left: float, top: float, side: float) -> list[str]:
    """An invisible square over each cell for its words; over each row where there are very many."""
    count = len(chart.names)
    parts = []
    for i, cause in enumerate(chart.names):
        if count * count > _MOST_TIPS:
            best = int(np.argmax(np.where(np.isfinite(chart.values[i]), chart.values[i], -np.inf)))
            words = f"{cause} acts most on {chart.names[best]}: {plain(float(chart.values[i, best]))}"
            box = {"x": left, "y": top + side * i, "width": side * count, "height": side}
            parts.append(tag("rect", title(words), **box, class_="cover"))
            continue
        for j, effect in enumerate(chart.names):
            if i != j and np.isfinite(chart.values[i, j]):
                value = float(chart.values[i, j])
                box = {"x": left + side * j, "y": top + side * i, "width": side, "height": side}
                words = f"{cause} → {effect}: {plain(value)}"
                parts.append(tag("rect", title(words), **box, class_="cover", data_value=value))
    return parts
