"""Scales and axes: from data to pixels, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ..readable import compact, plain, share
from .svg import Frame, tag, text, width_of


@dataclass(frozen=True)
class Axis:
    """What an axis says: its name, how its numbers are written, its fixed ends, and the most there can be."""

    label: str
    show: Callable[..., str] = plain
    low: float | None = None
    high: float | None = None
    log: bool = False
    most: float | None = None


@dataclass(frozen=True)
class Scale:
    """From ``low .. high`` to pixels ``start .. stop``, evenly or by powers.

    >>> Scale(0, 10, 100, 200)(2.5), Scale(1, 100, 0, 50, log=True)(10)
    (125.0, 25.0)
    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where a value lies, in pixels."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (self.stop - self.start) * (value - low) / (high - low)

    def ticks(self, count: int) -> list[float]:
        """About ``count`` round numbers within the scale."""
        found = _log_ticks(self.low, self.high, count) if self.log else []
        return found if len(found) >= 2 else round_ticks(self.low, self.high, count)


def round_ticks(low: float, high: float, count: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten.

    >>> round_ticks(0, 1, 5)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    step = 10.0 ** math.floor(math.log10((high - low) / max(1, count)))
    step *= next(m for m in (1, 2, 5, 10) if m * step * count >= (high - low) * 0.99)
    # Reading the products back from twelve digits frees them of rounding errors such as 0.30000000000000004.
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [float(f"{m * 10.0**d:.12g}") for d in decades for m in steps]
        found = [v for v in found if low * (1 - 1e-9) <= v <= high * (1 + 1e-9)]
        if len(found) <= count + 1:
            return found
    stride = -(-len(found) // count)
    return found[::stride]


def span(axis: Axis, values: Iterable[float], room: float = 0.05) -> tuple[float, float]:
    """The ends of an axis: those that are fixed, else those of the data with some room.

    Args:
        axis: the axis.
        values: everything that will be drawn along it; values that a log axis cannot show must not be among them.
        room: the share of the range left free at ends that are not fixed.

    Returns:
        The lowest and the highest value of the axis, which always differ.

    >>> [round(end, 3) for end in span(Axis("accuracy", most=1.0), [0.98])]
    [0.882, 1.006]
    """
    found = [v for v in values if math.isfinite(v)] or [1.0]
    low = min(found) if axis.low is None else axis.low
    high = max(found) if axis.high is None else axis.high
    if axis.log:
        factor = (high / low) ** room if high > low else 2.0
        padded = low / factor, high * factor
    else:
        pad = (high - low) * room if high > low else abs(high) * 0.1 or 1.0
        padded = low - pad, high + pad
        if axis.most is not None:  # a little room for a mark at the most, and no tick beyond
            padded = padded[0], min(padded[1], axis.most + room * (axis.most - padded[0]))
    low = padded[0] if axis.low is None else axis.low
    high = padded[1] if axis.high is None else axis.high
    return (low, high) if high > low else (low, low + 1.0)


def tick_words(axis: Axis, ticks: Sequence[float]) -> list[str]:
    """The ticks in words, with as many digits as it takes to write every one of them exactly."""
    if axis.show not in (plain, share, compact):
        return [axis.show(value) for value in ticks]
    exact = (n for n in range(3, 9) if all(float(f"{value:.{n}g}") == value for value in ticks))
    figures = next(exact, 9)
    show = partial(axis.show, figures=figures)
    return [show(value) for value in ticks]


def axes(frame: Frame, x: tuple[Axis, Scale], y: tuple[Axis, Scale], *, lower: float = 0.0) -> list[str]:
    """Grid lines, tick labels and names of both axes.

    Args:
        frame: the drawing.
        x: the horizontal axis.
        y: the vertical axis; its name stands above it, upright.
        lower: how far below the plot the horizontal axis lies.

    Returns:
        Markup.
    """
    left, top, right, bottom = frame.inner
    parts = []
    ticks = y[1].ticks(y_ticks(frame))
    for value, words in zip(ticks, tick_words(y[0], ticks), strict=True):
        at = y[1](value)
        parts += [
            tag("line", x1=left, x2=right, y1=at, y2=at, class_="grid"),
            tag("text", text(words), x=left - 8, y=at + 4, class_="tick y", data_value=value),
        ]
    parts.append(tag("text", text(y[0].label), x=2, y=top - 12, class_="axis"))
    parts.append(tag("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="base"))
    parts += across(frame, x[0], x[1], bottom + lower)
    return parts


def y_ticks(frame: Frame) -> int:
    """How many ticks a vertical axis has room for."""
    return max(3, int((frame.height - frame.top - frame.bottom) / 46))


def left_margin(frame: Frame, axis: Axis, low: float, high: float) -> float:
    """The room that the tick labels of a vertical axis take."""
    ticks = Scale(low, high, 0, 1, axis.log).ticks(y_ticks(frame))
    return max(width_of(words) for words in tick_words(axis, ticks)) + 14


def x_ticks(axis: Axis, scale: Scale) -> list[float]:
    """The ticks of a horizontal axis: as many as there is room for their labels."""
    room = abs(scale.stop - scale.start)
    ticks = scale.ticks(max(2, int(room / 75)))
    while len(ticks) > 2 and sum(width_of(words) + 10 for words in tick_words(axis, ticks)) > room:
        ticks = ticks[::2]
    return ticks


def across(frame: Frame, axis: Axis, scale: Scale, bottom: float) -> list[str]:
    """Ticks and name of a horizontal axis below ``bottom``; ticks that would touch are thinned."""
    ticks = x_ticks(axis, scale)
    parts = []
    for value, words in zip(ticks, tick_words(axis, ticks), strict=True):
        at = scale(value)
        half = width_of(words) / 2
        # The last label must not leave the picture.
        place = min(at, frame.width - half - 1)
        parts += [
            tag("line", x1=at, x2=at, y1=bottom, y2=bottom + 4, class_="base"),
            tag("text", text(words), x=place, y=bottom + 17, class_="tick x", data_value=value, data_at=at),
        ]
    parts.append(tag("text", text(axis.label), x=scale.stop, y=bottom + 33, class_="axis end"))
    return parts
