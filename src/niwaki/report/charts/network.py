"""Who acts on whom: variables on a circle, an arrow from each cause to its effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .lines import tone_class
from .svg import Frame, drawing, figure, path, shortened, tag, text, title, width_of

Point = tuple[float, float]
_NODE = 5.0
_HEAD = 8.0


@dataclass(frozen=True)
class Arrow:
    """From one variable to another, by their numbers; ``weight`` from 0 to 1 is how thick it is."""

    source: int
    target: int
    words: str
    weight: float = 1.0
    tone: int | None = 0


@dataclass(frozen=True)
class NetworkChart:
    """Named variables and arrows between them."""

    title: str
    description: str
    names: Sequence[str]
    arrows: Sequence[Arrow]


def draw_network(chart: NetworkChart, frame: Frame, ident: str) -> str:
    """Draw a network.

    Args:
        chart: what to draw, at least two variables.
        frame: how wide; narrow pictures are as high as they are wide.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    room = min(frame.width * 0.24, max(width_of(name, 11) for name in chart.names) + 12)
    radius = min(frame.width / 2 - room - 6, 230.0)
    frame = replace(frame, height=2 * radius + 64)
    middle = frame.width / 2, frame.height / 2
    angles = [2 * math.pi * at / len(chart.names) - math.pi / 2 for at in range(len(chart.names))]
    places = [(middle[0] + radius * math.cos(a), middle[1] + radius * math.sin(a)) for a in angles]
    # The strongest lie on top.
    order = sorted(chart.arrows, key=lambda arrow: arrow.weight)
    parts = [_arrow(arrow, places[arrow.source], places[arrow.target], middle) for arrow in order]
    height = 2 * math.pi * radius / len(chart.names)
    for name, angle, (x, y) in zip(chart.names, angles, places, strict=True):
        parts.append(tag("circle", title(name), cx=x, cy=y, r=min(_NODE, height / 3), class_="hub", data_name=name))
        parts.append(_label(name, angle, (x, y), room, look="name small" if height > 11 else "name tight"))
    return drawing(frame, ident, chart.title, chart.description, parts)


def _label(name: str, angle: float, place: Point, room: float, *, look: str) -> str:
    """Beside its variable, away from the middle of the circle."""
    shown = shortened(name, room - 8, 11)
    wide = width_of(shown, 11)
    across = math.cos(angle)
    begin = place[0] + 10 * across - (wide * (1 - across) / 2)
    return tag("text", title(name), text(shown), x=begin, y=place[1] + 14 * math.sin(angle) + 4, class_=look)


def _arrow(arrow: Arrow, start: Point, stop: Point, middle: Point) -> str:
    """A curve bent towards the middle and a little to the side, so that there and back are two lines."""
    (ax, ay), (bx, by) = start, stop
    length = math.hypot(bx - ax, by - ay)
    side = 0.12 * length
    inward = 0.18
    cx = (ax + bx) / 2 * (1 - inward) + middle[0] * inward - (by - ay) / length * side
    cy = (ay + by) / 2 * (1 - inward) + middle[1] * inward + (bx - ax) / length * side
    angle = math.atan2(by - cy, bx - cx)
    tip = bx - (_NODE + 2) * math.cos(angle), by - (_NODE + 2) * math.sin(angle)
    back = tip[0] - _HEAD * math.cos(angle), tip[1] - _HEAD * math.sin(angle)
    across = _HEAD * 0.42 * math.sin(angle), -_HEAD * 0.42 * math.cos(angle)
    head = path([tip, (back[0] + across[0], back[1] + across[1]), (back[0] - across[0], back[1] - across[1])])
    curve = f"M{figure(ax)} {figure(ay)}Q{figure(cx)} {figure(cy)} {figure(back[0])} {figure(back[1])}"
    look = tone_class(arrow.tone)
    strength = 0.35 + 0.65 * arrow.weight
    return tag(
        "g",
        title(arrow.words),
        tag("path", d=curve, class_="shaft", stroke_width=f"{1 + 2.6 * arrow.weight:.2f}"),
        tag("path", d=head + "Z", class_="head"),
        class_=f"arrow {look}",
        opacity=f"{strength:.2f}",
        data_from=arrow.source,
        data_to=arrow.target,
    )
