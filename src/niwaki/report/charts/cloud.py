"""Many points over one pair of axes, with lines to compare them to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .axes import Axis, Scale, axes, left_margin, span
from .lines import tone_class
from .scatter import shape
from .svg import Frame, drawing, path, tag, text, title, width_of

_SIZE = 3.6


@dataclass(frozen=True)
class Mark:
    """One point: where, what it says when pointed at, and a short name drawn beside it if there is one."""

    x: float
    y: float
    words: str
    tone: int | None = 0
    mark: int = 0
    name: str = ""


@dataclass(frozen=True)
class Level:
    """A horizontal line at ``y`` with its name."""

    y: float
    name: str


@dataclass(frozen=True)
class CloudChart:
    """Points over axes; ``diagonal`` draws the line on which both axes say the same."""

    title: str
    description: str
    marks: Sequence[Mark]
    x: Axis
    y: Axis
    levels: Sequence[Level] = ()
    diagonal: bool = False


def draw_cloud(chart: CloudChart, frame: Frame, ident: str) -> str:
    """Draw points.

    Args:
        chart: what to draw, at least one point.
        frame: how large.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    xs = span(chart.x, [mark.x for mark in chart.marks], room=0.06)
    ys = span(chart.y, [*(mark.y for mark in chart.marks), *(level.y for level in chart.levels)], room=0.06)
    frame = replace(frame, left=left_margin(frame, chart.y, *ys))
    left, top, right, bottom = frame.inner
    x, y = Scale(*xs, left, right), Scale(*ys, bottom, top)
    parts = axes(frame, (chart.x, x), (chart.y, y))
    if chart.diagonal:
        ends = max(xs[0], ys[0]), min(xs[1], ys[1])
        parts.append(tag("path", d=path([(x(v), y(v)) for v in ends]), class_="expected"))
    for level in chart.levels:
        parts.append(tag("path", d=path([(left, y(level.y)), (right, y(level.y))]), class_="expected"))
        parts.append(tag("text", text(level.name), x=right, y=y(level.y) - 5, class_="name tick end"))
    parts += [_mark(mark, x, y) for mark in chart.marks]
    parts += _names(chart.marks, x, y, right)
    return drawing(frame, ident, chart.title, chart.description, parts)


def _mark(mark: Mark, x: Scale, y: Scale) -> str:
    data = {"data_x": mark.x, "data_y": mark.y}
    look = f"point {tone_class(mark.tone)}"
    return tag("path", title(mark.words), d=shape(mark.mark, x(mark.x), y(mark.y), _SIZE), class_=look, **data)


def _names(marks: Sequence[Mark], x: Scale, y: Scale, right: float) -> list[str]:
    """The names that find a free place beside their points, in the order of the points."""
    taken: list[tuple[float, float, float, float]] = []
    parts = []
    for mark in marks:
        if not mark.name:
            continue
        wide = width_of(mark.name, 11)
        begin = x(mark.x) + 7 if x(mark.x) + 7 + wide <= right else x(mark.x) - 7 - wide
        box = begin, y(mark.y) - 7, begin + wide, y(mark.y) + 7
        if all(box[2] <= t[0] or box[0] >= t[2] or box[3] <= t[1] or box[1] >= t[3] for t in taken):
            taken.append(box)
            parts.append(tag("text", text(mark.name), x=begin, y=y(mark.y) + 4, class_="name small"))
    return parts
