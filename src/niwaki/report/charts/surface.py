"""A surface over two widths: what a layer takes for every number of inputs and outputs, in shades."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..series import Array
from .heat import bounds, level
from .svg import Frame, cell, drawing, tag, text, title, width_of

# Rows and columns in one picture; more could not be told apart.
_MOST = 16
_SIDE = 26.0


@dataclass(frozen=True, eq=False)
class SurfaceChart:
    """Values ``[inputs, outputs]`` at the widths measured; a layer of one width has one row, whose name is empty."""

    title: str
    description: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    values: Array
    show: Callable[[float], str]


def draw_surface(chart: SurfaceChart, frame: Frame, ident: str) -> str:
    """Draw a surface.

    Args:
        chart: what to draw, at least one value.
        frame: how wide; the height follows from the rows.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    low, high = bounds(chart.values)
    rows, columns = _some(len(chart.values)), _some(len(chart.outputs))
    names = [f"{chart.inputs[row]:,}" if len(chart.inputs) else "" for row in rows]
    frame = replace(frame, left=max(16.0, max(width_of(name) for name in names) + 14), right=12, top=26, bottom=38)
    left, top, right, _ = frame.inner
    wide, tall = (right - left) / len(columns), min(_SIDE, 190.0 / len(rows))
    frame = replace(frame, height=top + tall * len(rows) + frame.bottom)
    shades: dict[int, list[str]] = {}
    covers = []
    for at, row in enumerate(rows):
        y = top + tall * (len(rows) - 1 - at)  # the least inputs lie lowest, as on any axis
        for place, column in enumerate(columns):
            shade = level(float(chart.values[row, column]), low, high)
            shades.setdefault(shade, []).append(cell(left + wide * place, y, wide - 1, tall - 1))
        words = _in_words(chart, row)
        covers.append(tag("rect", title(words), x=left, y=y, width=right - left, height=tall, class_="cover"))
    parts = [tag("path", d="".join(some), class_=f"heat heat-{shade}") for shade, some in sorted(shades.items())]
    middles = [top + tall * (len(rows) - at - 0.5) for at in range(len(rows))]
    parts += [tag("text", text(n), x=left - 8, y=middles[i] + 4, class_="tick y") for i, n in _apart(names, middles)]
    label = "outputs" if len(chart.inputs) else "channels"
    parts += _below([f"{chart.outputs[column]:,}" for column in columns], label, wide, frame)
    parts += [tag("text", text("inputs"), x=2, y=top - 10, class_="axis")] if len(chart.inputs) else []
    parts += covers
    return drawing(frame, ident, chart.title, chart.description, parts)


def _some(count: int) -> list[int]:
    """All places, or some of them, evenly, with the first and the last."""
    return [int(at) for at in np.unique(np.linspace(0, count - 1, min(count, _MOST)).round())]


def _in_words(chart: SurfaceChart, row: int) -> str:
    found, outputs = chart.values[row], chart.outputs
    words = f"{outputs[0]:,} outputs: {chart.show(float(found[0]))}"
    if len(outputs) > 1:
        words += f"; {outputs[-1]:,} outputs: {chart.show(float(found[-1]))}"
    return f"{chart.inputs[row]:,} inputs, {words}" if len(chart.inputs) else words.replace("outputs", "channels")


def _apart(names: Sequence[str], places: Sequence[float]) -> list[tuple[int, str]]:
    """The names that have room above each other, from the last one, which is the dense model's."""
    out: list[tuple[int, str]] = []
    for i in reversed(range(len(names))):
        if not out or abs(places[i] - places[out[-1][0]]) >= 13:
            out.append((i, names[i]))
    return out


def _below(names: Sequence[str], label: str, wide: float, frame: Frame) -> list[str]:
    """The names of the columns that have room beside each other, from the last one."""
    bottom = frame.height - frame.bottom
    parts, free = [], frame.width
    for place in reversed(range(len(names))):
        half = width_of(names[place]) / 2
        at = min(frame.left + wide * (place + 0.5), frame.width - half - 1)
        if at + half <= free:
            parts.append(tag("text", text(names[place]), x=at, y=bottom + 16, class_="tick x"))
            free = at - half - 6
    return [*parts, tag("text", text(label), x=frame.width - frame.right, y=bottom + 33, class_="axis end")]
