"""Points with their spread: what something cost against what it reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .axes import Axis, Scale, axes, left_margin, span
from .lines import tone_class
from .svg import Frame, drawing, path, shortened, tag, text, title, width_of

_SHAPES = 5
_SIZE = 5.5
_NAME = 190.0


@dataclass(frozen=True)
class Dot:
    """One cohort: its mean, and the ranges and single values it stands for. ``shape`` tells densities apart."""

    name: str
    x: float
    y: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    seeds: tuple[tuple[float, float], ...] = ()
    tone: int | None = 0
    shape: int = 0


@dataclass(frozen=True)
class ScatterChart:
    """Dots over one pair of axes; ``front`` draws the border of what is reached, left being cheaper and up better."""

    title: str
    description: str
    dots: Sequence[Dot]
    x: Axis
    y: Axis
    front: bool = False


def front_of(dots: Sequence[Dot]) -> list[Dot]:
    """The dots that no other one beats: none is as far left and as high, and better in one of the two.

    Args:
        dots: the dots.

    Returns:
        Those that stay, from left to right.
    """
    return sorted(
        (a for a in dots if not any(b.x <= a.x and b.y >= a.y and (b.x, b.y) != (a.x, a.y) for b in dots)),
        key=lambda dot: (dot.x, dot.y),
    )


def draw_scatter(chart: ScatterChart, frame: Frame, ident: str) -> str:
    """Draw a scatter chart.

    Args:
        chart: what to draw, at least one dot.
        frame: how large.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    xs = span(chart.x, [v for dot in chart.dots for v in (*dot.x_range, *(s[0] for s in dot.seeds))], room=0.08)
    ys = span(chart.y, [v for dot in chart.dots for v in (*dot.y_range, *(s[1] for s in dot.seeds))], room=0.08)
    frame = replace(frame, left=left_margin(frame, chart.y, *ys))
    left, top, right, bottom = frame.inner
    x, y = Scale(*xs, left, right, chart.x.log), Scale(*ys, bottom, top, chart.y.log)
    parts = axes(frame, (chart.x, x), (chart.y, y))
    parts += _border(chart.dots, x, y, right) if chart.front else _links(chart.dots, x, y)
    for dot in chart.dots:
        parts += _spread(dot, x, y)
    parts += [_dot(dot, chart, x, y) for dot in chart.dots]
    if frame.name != "half":
        lines = _lines(chart.dots, x, y, right) if chart.front else []
        parts += _names(chart.dots, x, y, (left, top, right, bottom), lines)
    return drawing(frame, ident, chart.title, chart.description, parts)


def _border(dots: Sequence[Dot], x: Scale, y: Scale, right: float) -> list[str]:
    """Stairs through the dots of the front: between two of them the left one is the best that is to be had."""
    corners: list[tuple[float, float]] = []
    for dot in front_of(dots):
        corners += [(x(dot.x), corners[-1][1])] if corners else []
        corners.append((x(dot.x), y(dot.y)))
    return [tag("path", d=path([*corners, (right, corners[-1][1])]), class_="front")]


def _links(dots: Sequence[Dot], x: Scale, y: Scale) -> list[str]:
    """A thin line through the dots of one colour: a method at several densities."""
    parts = []
    for tone in dict.fromkeys(dot.tone for dot in dots):
        some = sorted((dot for dot in dots if dot.tone == tone), key=lambda dot: dot.x)
        if len(some) > 1 and tone is not None:
            parts.append(tag("path", d=path([(x(d.x), y(d.y)) for d in some]), class_=f"link {tone_class(tone)}"))
    return parts


def _spread(dot: Dot, x: Scale, y: Scale) -> list[str]:
    look = tone_class(dot.tone)
    cx, cy = x(dot.x), y(dot.y)
    parts = [tag("circle", cx=x(a), cy=y(b), r=2.0, class_=f"seed {look}") for a, b in dot.seeds]
    low, high = y(dot.y_range[0]), y(dot.y_range[1])
    if low != high:
        ends = f"M{cx - 4:.1f} {low:.1f}h8M{cx - 4:.1f} {high:.1f}h8"
        parts.append(tag("path", d=path([(cx, low), (cx, high)]) + ends, class_=f"whisker {look}"))
    if x(dot.x_range[1]) - x(dot.x_range[0]) > 1:
        parts.append(tag("path", d=path([(x(dot.x_range[0]), cy), (x(dot.x_range[1]), cy)]), class_=f"whisker {look}"))
    return parts


def shape(kind: int, cx: float, cy: float, size: float = _SIZE) -> str:
    """The path of one of five marks: disc, square, triangle, diamond, cross."""
    match kind % _SHAPES:
        case 0:
            return f"M{cx - size:.1f} {cy:.1f}a{size} {size} 0 1 0 {2 * size} 0a{size} {size} 0 1 0 {-2 * size} 0z"
        case 1:
            size *= 0.9
            corners = [(-size, -size), (size, -size), (size, size), (-size, size)]
        case 2:
            corners = [(0, -1.25 * size), (1.15 * size, 0.8 * size), (-1.15 * size, 0.8 * size)]
        case 3:
            corners = [(0, -1.3 * size), (1.3 * size, 0), (0, 1.3 * size), (-1.3 * size, 0)]
        case _:
            arm, wide = 1.25 * size, 0.42 * size
            corners = [
                (-wide, -arm), (wide, -arm), (wide, -wide), (arm, -wide), (arm, wide), (wide, wide),
                (wide, arm), (-wide, arm), (-wide, wide), (-arm, wide), (-arm, -wide), (-wide, -wide),
            ]  # fmt: skip
    return path([(cx + a, cy + b) for a, b in corners], closed=True)


def _dot(dot: Dot, chart: ScatterChart, x: Scale, y: Scale) -> str:
    low, high = dot.y_range
    words = f"{dot.name}: {chart.y.show(dot.y)} at {chart.x.show(dot.x)}"
    if low != high:
        words += f" (from {chart.y.show(low)} to {chart.y.show(high)})"
    data = {"data_name": dot.name, "data_cx": x(dot.x), "data_cy": y(dot.y)}
    look = f"point {tone_class(dot.tone)}"
    return tag("path", title(words), d=shape(dot.shape, x(dot.x), y(dot.y)), class_=look, **data)


Box = tuple[float, float, float, float]


def _lines(dots: Sequence[Dot], x: Scale, y: Scale, right: float) -> list[Box]:
    """Where the stairs and the lines across lie, which names keep clear of where they can."""
    boxes = [(x(d.x_range[0]), y(d.y) - 3, x(d.x_range[1]), y(d.y) + 3) for d in dots]
    front = front_of(dots)
    boxes.append((x(front[-1].x), y(front[-1].y) - 3, right, y(front[-1].y) + 3))
    for a, b in zip(front, front[1:], strict=False):
        boxes.append((x(a.x), y(a.y) - 3, x(b.x), y(a.y) + 3))
        boxes.append((x(b.x) - 2, y(b.y), x(b.x) + 2, y(a.y)))
    return boxes


def _names(dots: Sequence[Dot], x: Scale, y: Scale, inner: Box, lines: Sequence[Box] = ()) -> list[str]:
    """Names beside their dots where there is a free place; the legend has them all."""
    taken = [_around(x(dot.x), y(dot.y)) for dot in dots]
    taken += [(x(d.x) - 4, y(d.y_range[1]), x(d.x) + 4, y(d.y_range[0])) for d in dots]
    taken += lines
    parts = []
    for dot in sorted(dots, key=lambda dot: -dot.y):
        name = shortened(dot.name, _NAME)
        wide = width_of(name)
        cx, cy = x(dot.x), y(dot.y)
        for box in _places(cx, cy, wide):
            if _is_free(box, taken, inner):
                taken.append(box)
                look = f"name {tone_class(dot.tone)}"
                parts.append(tag("text", title(dot.name), text(name), x=box[0], y=box[3] - 4, class_=look))
                break
    return parts


def _around(cx: float, cy: float) -> Box:
    return cx - _SIZE, cy - _SIZE, cx + _SIZE, cy + _SIZE


def _places(cx: float, cy: float, wide: float) -> Iterable[Box]:
    right, left, high = cx + 9, cx - 9 - wide, 15.0
    for dy in (0.0, -13.0, 13.0, -20.0, 20.0):
        yield right, cy - high / 2 + dy, right + wide, cy + high / 2 + dy
        yield left, cy - high / 2 + dy, left + wide, cy + high / 2 + dy
    yield cx - wide / 2, cy - 24, cx + wide / 2, cy - 9
    yield cx - wide / 2, cy + 9, cx + wide / 2, cy + 24


def _is_free(box: Box, taken: Sequence[Box], inner: Box) -> bool:
    if box[0] < inner[0] or box[1] < inner[1] - 8 or box[2] > inner[2] + 8 or box[3] > inner[3]:
        return False
    return all(box[2] <= t[0] or box[0] >= t[2] or box[3] <= t[1] or box[1] >= t[3] for t in taken)
