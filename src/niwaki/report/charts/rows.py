"""One row per layer: bars, or dots of several cohorts with their spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .axes import Axis, Scale, across, span, x_ticks
from .lines import tone_class
from .scatter import shape
from .svg import Frame, drawing, shortened, tag, text, title, width_of

_TALL, _LOW = 20.0, 5.0
_APART = 8.0
_MOST_NAMES = 48


@dataclass(frozen=True)
class Value:
    """One mark in a row: its value and the range it stands for."""

    name: str
    value: float
    low: float
    high: float
    tone: int | None = 0
    mark: int = 0


@dataclass(frozen=True)
class RowChart:
    """Rows with marks along one axis. Where every row has one mark, bars are drawn from the lower end."""

    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Value]]]
    x: Axis


def row_height(count: int) -> float:
    """The height of a row: rows become thin where there are many."""
    return _TALL if count <= _MOST_NAMES else max(_LOW, _TALL * _MOST_NAMES / count)


def name_column(names: Sequence[str], frame: Frame) -> float:
    """How wide the column of row names is: as the longest, but a third of the picture at most."""
    return min(frame.width * 0.34, max(width_of(name, 11) for name in _bare(names)) + 10)


def _bare(names: Sequence[str]) -> list[str]:
    """The names without the parts, between dots, with which all of them begin or end."""
    parts = [name.split(".") for name in names]
    least = min(len(some) for some in parts) - 1
    head = next((i for i in range(least) if len({some[i] for some in parts}) > 1), max(0, least))
    least -= head
    tail = next((i for i in range(least) if len({some[-1 - i] for some in parts}) > 1), max(0, least))
    if all(len(some) - tail - head == 1 and some[head].isdigit() for some in parts):
        head = max(0, head - 1)  # a bare number says too little
    return [".".join(some[head : len(some) - tail]) for some in parts] if len(names) > 1 else list(names)


def row_names(names: Sequence[str], frame: Frame, height: float) -> list[str]:
    """The names of the rows at the left; too long ones are cut in the middle, and thin rows are named now and then.

    Args:
        names: one per row; what all of them have in common is left to the tooltip.
        frame: its left margin is the column.
        height: of a row.

    Returns:
        Markup.
    """
    stride = max(1, -int(-10 // height))
    look = "row" if height >= 13 else "row tight"
    bare = _bare(names)
    parts = []
    for row in range(0, len(names), stride):
        y = frame.top + height * (row + 0.5) + (4 if height >= 13 else 3)
        shown = text(shortened(bare[row], frame.left - 10, 11))
        parts.append(tag("text", title(names[row]), shown, x=frame.left - 8, y=y, class_=look))
    return parts


def draw_rows(chart: RowChart, frame: Frame, ident: str) -> str:
    """Draw a row chart.

    Args:
        chart: what to draw, at least one row with a mark.
        frame: how wide; the height follows from the rows.
        ident: unique on the page.

    Returns:
        The SVG.
    """
    are_bars = all(len(values) <= 1 for _, values in chart.rows)
    most = max(len(some) for _, some in chart.rows)
    height = row_height(len(chart.rows))
    if most > 1 and len(chart.rows) * most * _APART <= _TALL * _MOST_NAMES:
        height = max(height, (most + 1) * _APART)
    values = [v for _, some in chart.rows for value in some for v in (value.low, value.high)]
    right = 58 if are_bars else 18
    frame = replace(frame, left=name_column([n for n, _ in chart.rows], frame), right=right, top=8, bottom=38)
    frame = replace(frame, height=frame.top + height * len(chart.rows) + 6 + frame.bottom)
    left, _, stop, bottom = frame.inner
    x = Scale(*span(chart.x, values, room=0.04), left, stop, chart.x.log)
    parts = [tag("line", x1=x(v), x2=x(v), y1=frame.top, y2=bottom, class_="grid") for v in x_ticks(chart.x, x)]
    parts += row_names([name for name, _ in chart.rows], frame, height)
    for row, (name, some) in enumerate(chart.rows):
        y = frame.top + height * (row + 0.5)
        parts += _bar(name, some, chart, x, (y, height)) if are_bars else _marks(name, some, chart, x, (y, height))
    parts += across(frame, chart.x, x, bottom)
    return drawing(frame, ident, chart.title, chart.description, parts)


def _bar(name: str, some: Sequence[Value], chart: RowChart, x: Scale, place: tuple[float, float]) -> list[str]:
    y, height = place
    parts = []
    for value in some:
        words = _in_words(name, value, chart)
        thick = height * 0.62
        rect = {"x": x.start, "y": y - thick / 2, "width": max(0.8, x(value.value) - x.start), "height": thick}
        parts.append(tag("rect", title(words), **rect, rx=1.5, class_=f"bar {tone_class(value.tone)}", data_row=name))
        if value.low < value.high:
            ends = {"x1": x(value.low), "x2": x(value.high), "y1": y, "y2": y}
            parts.append(tag("line", **ends, class_="range"))
        if height >= 13:
            beside = max(x(value.value), x(value.high)) + 6
            parts.append(tag("text", text(chart.x.show(value.value)), x=beside, y=y + 4, class_="value"))
    return parts


def _marks(name: str, some: Sequence[Value], chart: RowChart, x: Scale, place: tuple[float, float]) -> list[str]:
    y, height = place
    size = min(4.0, height * 0.4)
    parts = [tag("line", x1=x.start, x2=x.stop, y1=y, y2=y, class_="rule")]
    # Cohorts lie below each other in a row where there is room: equal densities would hide each other.
    apart = _APART if height >= (len(some) + 1) * _APART else 0.0
    middle = y
    for order, value in enumerate(some):
        y = middle + apart * (order - (len(some) - 1) / 2)
        look = tone_class(value.tone)
        if x(value.high) - x(value.low) > 1:
            ends = {"x1": x(value.low), "x2": x(value.high), "y1": y, "y2": y}
            parts.append(tag("line", **ends, class_=f"whisker {look}"))
        # Where they lie on top of each other, the later ones are smaller.
        smaller = 1.0 if apart else 1.3 - 0.6 * order / max(1, len(some) - 1)
        drawn = shape(value.mark, x(value.value), y, size * smaller)
        data = {"data_row": name, "data_name": value.name, "data_cx": x(value.value)}
        parts.append(tag("path", title(_in_words(name, value, chart)), d=drawn, class_=f"point {look}", **data))
    return parts


def _in_words(name: str, value: Value, chart: RowChart) -> str:
    words = f"{name}, {value.name}: {chart.x.show(value.value)}"
    return (
        f"{words} (from {chart.x.show(value.low)} to {chart.x.show(value.high)})" if value.low < value.high else words
    )
