"""Curves over steps or FLOPs, with bands, end labels and the stages behind or below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..series import Curve, thin
from ..stages import Stage, folded
from .axes import Axis, Scale, axes, left_margin, span
from .svg import Frame, drawing, path, shortened, tag, text, title, width_of

# What all lines of one picture may have together, so that thirty runs stay as light as one.
_POINTS = 6000
_LANE = 12.0
_NAME = 170.0


@dataclass(frozen=True, eq=False)
class Line:
    """A named curve in a colour; ``tone`` ``None`` is the neutral one of dense runs."""

    name: str
    curve: Curve
    tone: int | None = 0
    marks: bool = False
    stairs: bool = False


@dataclass(frozen=True, eq=False)
class Lane:
    """The stages of one cohort, drawn as a strip under the plot."""

    name: str
    tone: int | None
    stages: tuple[Stage, ...]


@dataclass(frozen=True, eq=False)
class LineChart:
    """Lines over one pair of axes. Stages shade the plot; lanes lie below it."""

    title: str
    description: str
    lines: Sequence[Line]
    x: Axis
    y: Axis
    stages: tuple[Stage, ...] = ()
    lanes: Sequence[Lane] = ()


def tone_class(tone: int | None) -> str:
    """The classes of a colour; beyond the eighth they come again, dashed."""
    return "tone-dense" if tone is None else f"tone-{tone % 8}" + (" again" if tone >= 8 else "")


def draw_lines(chart: LineChart, frame: Frame, ident: str) -> str:
    """Draw a line chart.

    Args:
        chart: what to draw; at least one line has points.
        frame: how large.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    lines = [replace(line, curve=_drawable(line.curve, chart)) for line in chart.lines]
    lines = [line for line in lines if len(line.curve)]
    most = max(24, min(int(frame.width / 2), _POINTS // max(1, len(lines))))
    lines = [replace(line, curve=thin(line.curve, most)) for line in lines]
    xs, ys = _spans(chart, lines)
    frame = _margins(chart, frame, lines, xs, ys)
    left, top, right, bottom = frame.inner
    x, y = Scale(*xs, left, right, chart.x.log), Scale(*ys, bottom, top, chart.y.log)
    parts = _shades(chart.stages, x, top, bottom)
    parts += axes(frame, (chart.x, x), (chart.y, y), lower=_lower(chart))
    parts += _lanes(chart.lanes, x, bottom)
    inside = [_band(line, x, y) for line in lines if line.curve.low is not None]
    inside += [_stroke(line, chart, x, y) for line in lines]
    for line in lines:
        inside += _marks(line, chart, x, y) if line.marks or len(line.curve) == 1 else []
    parts += _clipped(inside, frame, f"{ident}-{frame.name}-plot")
    if _names_ends(frame, lines, xs):
        parts += _end_names(lines, x, y)
    return drawing(frame, ident, chart.title, chart.description, parts)


def _drawable(line: Curve, chart: LineChart) -> Curve:
    """Without the points that a logarithmic axis cannot show, and with the band cut where it cannot."""
    stay = np.isfinite(line.x) & np.isfinite(line.y)
    if chart.x.log:
        stay &= line.x > 0
    if chart.y.log:
        stay &= line.y > 0
    low, high = (None if side is None else side[stay] for side in (line.low, line.high))
    if chart.y.log and low is not None and stay.any():
        low = np.maximum(low, line.y[stay].min() / 2)
    return Curve(line.x[stay], line.y[stay], low, high)


def _spans(chart: LineChart, lines: Sequence[Line]) -> tuple[tuple[float, float], tuple[float, float]]:
    xs = [float(v) for line in lines for v in (line.curve.x.min(), line.curve.x.max())]
    for stages in (chart.stages, *(lane.stages for lane in chart.lanes)):
        xs += [edge for stage in stages for edge in (stage.begin, stage.end)]
    sides = [side for line in lines for side in (line.curve.y, line.curve.low, line.curve.high) if side is not None]
    ys = [float(v) for side in sides for v in (side.min(), side.max())]
    return span(chart.x, xs, room=0.0), span(chart.y, ys)


def _lower(chart: LineChart) -> float:
    return _LANE * len(chart.lanes) + 6 if chart.lanes else 0.0


def _margins(
    chart: LineChart, frame: Frame, lines: Sequence[Line], xs: tuple[float, float], ys: tuple[float, float]
) -> Frame:
    left = left_margin(frame, chart.y, *ys)
    right = frame.right
    if _names_ends(frame, lines, xs):
        right = max(right, min(_NAME, max(width_of(line.name) for line in lines)) + 24)
    lower = _lower(chart)
    return replace(frame, left=left, right=right, height=frame.height + lower, bottom=frame.bottom + lower)


def _shades(stages: Sequence[Stage], x: Scale, top: float, bottom: float) -> list[str]:
    few = folded(stages, int((x.stop - x.start) / 4))
    return [_stage(stage, x, (top, bottom - top), class_=f"shade stage-{stage.tone}") for stage in few]


def _lanes(lanes: Sequence[Lane], x: Scale, bottom: float) -> list[str]:
    parts = []
    for row, lane in enumerate(lanes):
        y = bottom + 6 + _LANE * row
        look = f"dot {tone_class(lane.tone)}"
        parts.append(tag("circle", title(lane.name), cx=x.start - 9, cy=y + 4.5, r=3.5, class_=look))
        for stage in folded(lane.stages, int((x.stop - x.start) / 4)):
            parts.append(_stage(stage, x, (y, _LANE - 3), class_=f"lane stage-{stage.tone}", data_row=row))
    return parts


def _stage(stage: Stage, x: Scale, place: tuple[float, float], **attributes: object) -> str:
    words = f"{stage.name}: steps {stage.begin:,.0f} to {stage.end:,.0f}"
    begin, end = x(stage.begin), x(stage.end)
    data = {"data_stage": stage.name, "data_begin": stage.begin, "data_end": stage.end}
    return tag("rect", title(words), x=begin, y=place[0], width=end - begin, height=place[1], **attributes, **data)


def _band(line: Line, x: Scale, y: Scale) -> str:
    c = line.curve
    assert c.low is not None
    assert c.high is not None
    there = [(x(a), y(b)) for a, b in zip(c.x, c.high, strict=True)]
    back = [(x(a), y(b)) for a, b in zip(c.x[::-1], c.low[::-1], strict=True)]
    return tag("path", d=path([*there, *back], closed=True), class_=f"band {tone_class(line.tone)}")


def _stroke(line: Line, chart: LineChart, x: Scale, y: Scale) -> str:
    points = [(x(a), y(b)) for a, b in zip(line.curve.x, line.curve.y, strict=True)]
    if line.stairs:
        corners = [(later[0], here[1]) for here, later in zip(points, points[1:], strict=False)]
        points = [p for pair in zip(points, [*corners, points[-1]], strict=True) for p in pair]
    words = f"{line.name}: {_point_in_words(line, chart, -1)}"
    return tag("path", title(words), d=path(points), class_=f"line {tone_class(line.tone)}", data_name=line.name)


def _point_in_words(line: Line, chart: LineChart, at: int) -> str:
    c = line.curve
    words = f"{chart.y.show(float(c.y[at]))} at {chart.x.show(float(c.x[at]))}"
    if c.low is None or c.high is None:
        return words
    return f"{words} (from {chart.y.show(float(c.low[at]))} to {chart.y.show(float(c.high[at]))})"


def _marks(line: Line, chart: LineChart, x: Scale, y: Scale) -> list[str]:
    return [
        tag(
            "circle",
            title(f"{line.name}: {_point_in_words(line, chart, at)}"),
            cx=x(float(line.curve.x[at])),
            cy=y(float(line.curve.y[at])),
            r=3.0,
            class_=f"mark {tone_class(line.tone)}",
        )
        for at in range(len(line.curve))
    ]


def _clipped(parts: Sequence[str], frame: Frame, ident: str) -> list[str]:
    """What an axis with a fixed end leaves outside is not drawn; marks on the edge stay whole."""
    left, top, right, bottom = frame.inner
    room = tag("rect", x=left - 4, y=top - 4, width=right - left + 8, height=bottom - top + 4)
    return [tag("clipPath", room, id=ident), tag("g", *parts, clip_path=f"url(#{ident})")]


def _names_ends(frame: Frame, lines: Sequence[Line], xs: tuple[float, float]) -> bool:
    """Whether names fit beside the ends of the lines: few lines that all reach the end of the axis."""
    all_reach = all(line.curve.x[-1] >= xs[0] + 0.97 * (xs[1] - xs[0]) for line in lines)
    return frame.name == "wide" and 1 < len(lines) <= 14 and all_reach


def _end_names(lines: Sequence[Line], x: Scale, y: Scale) -> list[str]:
    """The names at the ends of their lines, moved apart where they would touch."""
    ends = sorted(((y(float(line.curve.y[-1])), line) for line in lines), key=lambda end: end[0])
    places = _moved_apart([at for at, _ in ends], 15.0, y.stop, y.start)
    parts = []
    for (at, line), place in zip(ends, places, strict=True):
        begin, look = x(float(line.curve.x[-1])), tone_class(line.tone)
        points = [(begin + 3, at), (x.stop + 8, place), (x.stop + 12, place)]
        parts.append(tag("path", d=path(points), class_=f"leader {look}"))
        parts.append(
            tag(
                "text",
                title(line.name),
                text(shortened(line.name, _NAME)),
                x=x.stop + 16,
                y=place + 4,
                class_=f"name {look}",
            )
        )
    return parts


def _moved_apart(places: Sequence[float], gap: float, top: float, bottom: float) -> list[float]:
    """Rising places at least ``gap`` apart, as near as can be to where they were, within top and bottom."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else max(place, top))
    limit = bottom
    for i in range(len(moved) - 1, -1, -1):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - gap
    return moved
