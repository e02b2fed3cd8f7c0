"""Stacked bars: where something went, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..stages import stage_tone
from .axes import Axis, Scale, across, span
from .rows import name_column, row_names
from .svg import Frame, drawing, tag, text, title, width_of

_HEIGHT = 34.0


@dataclass(frozen=True)
class Part:
    """One part of a bar: a stage, its length on the axis, and its value in words."""

    stage: str
    length: float
    words: str


@dataclass(frozen=True)
class StackChart:
    """Rows of parts, one behind the other, with the total in words at the end."""

    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Part], str]]
    x: Axis


def draw_stacks(chart: StackChart, frame: Frame, ident: str) -> str:
    """Draw stacked bars.

    Args:
        chart: what to draw, at least one row with a part.
        frame: how wide; the height follows from the rows.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    height = _HEIGHT if len(chart.rows) <= 12 else 22.0
    right = max(width_of(total) for _, _, total in chart.rows) + 14
    frame = replace(frame, left=name_column([n for n, _, _ in chart.rows], frame), right=right, top=4, bottom=38)
    frame = replace(frame, height=frame.top + height * len(chart.rows) + 4 + frame.bottom)
    left, _, stop, bottom = frame.inner
    longest = [sum(part.length for part in parts) for _, parts, _ in chart.rows]
    x = Scale(*span(replace(chart.x, low=0.0), longest, room=0.0), left, stop)
    out = row_names([name for name, _, _ in chart.rows], frame, height)
    for row, (name, parts, total) in enumerate(chart.rows):
        y, begin = frame.top + height * row, 0.0
        for part in parts:
            out += _part(name, part, x, begin, (y + 5, height - 10))
            begin += part.length
        out.append(tag("text", text(total), x=x(begin) + 8, y=y + height / 2 + 4, class_="value"))
    out += across(frame, chart.x, x, bottom)
    return drawing(frame, ident, chart.title, chart.description, out)


def _part(name: str, part: Part, x: Scale, begin: float, place: tuple[float, float]) -> list[str]:
    y, height = place
    start, stop = x(begin), x(begin + part.length)
    data = {"data_row": name, "data_stage": part.stage, "data_length": part.length}
    words = title(f"{name}, {part.stage}: {part.words}")
    look = f"part stage-{stage_tone(part.stage)}"
    rect = tag("rect", words, x=start, y=y, width=stop - start, height=height, class_=look, **data)
    if stop - start < width_of(part.stage, 11) + 12:
        return [rect]
    return [rect, tag("text", text(part.stage), x=(start + stop) / 2, y=y + height / 2 + 4, class_="inside")]
