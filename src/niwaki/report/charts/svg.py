"""SVG by hand: every name and text is escaped, numbers are short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def figure(value: float) -> str:
    """A coordinate, to a tenth of a pixel.

    >>> figure(12.0), figure(0.25), figure(-0.04)
    ('12', '0.2', '0')
    """
    text = f"{value:.1f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def tag(name: str, *children: str, **attributes: object) -> str:
    """One element.

    Args:
        name: its name.
        *children: markup inside it, already escaped.
        **attributes: ``class_`` and ``data_value`` become ``class`` and ``data-value``; ``None`` is left out.

    Returns:
        The markup.

    >>> tag("text", text("a < b"), x=1.25, class_="tick", data_value=None)
    '<text x="1.2" class="tick">a &lt; b</text>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        # Data keep all their digits, so that a picture can be read back.
        shown = figure(value) if isinstance(value, float) and not key.startswith("data_") else str(value)
        words.append(f'{key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inside = "".join(children)
    return f"<{' '.join(words)}>{inside}</{name}>" if inside else f"<{' '.join(words)}/>"


def text(words: str) -> str:
    """Plain text as markup."""
    return escape(words, quote=False)


def title(words: str) -> str:
    """A tooltip, which screen readers read too."""
    return tag("title", text(words))


def path(points: Iterable[tuple[float, float]], *, closed: bool = False) -> str:
    """The ``d`` of a path through points.

    >>> path([(0, 0), (1.5, 2), (3, 2)])
    'M0 0L1.5 2L3 2'
    """
    return "M" + "L".join(f"{figure(x)} {figure(y)}" for x, y in points) + ("Z" if closed else "")


def cell(x: float, y: float, width: float, height: float) -> str:
    """The part of a path that draws a rectangle."""
    return f"M{figure(x)} {figure(y)}h{figure(width)}v{figure(height)}h{figure(-width)}z"


@dataclass(frozen=True)
class Frame:
    """The size of a drawing and the margins of its plot.

    ``name`` says where it is shown: ``wide`` and ``narrow`` are two drawings of one figure, ``half`` stands alone.
    """

    name: str
    width: float
    height: float
    left: float = 48
    right: float = 14
    top: float = 26
    bottom: float = 38

    @property
    def inner(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the plot."""
        return self.left, self.top, self.width - self.right, self.height - self.bottom


WIDE = Frame("wide", 960, 340)
NARROW = Frame("narrow", 360, 270)
HALF = Frame("half", 360, 250)


def drawing(frame: Frame, ident: str, heading: str, description: str, parts: Sequence[str]) -> str:
    """A whole picture with its name and description for those who cannot see it.

    Args:
        frame: its size.
        ident: unique on the page.
        heading: its name.
        description: what it shows, in a sentence or two.
        parts: markup.

    Returns:
        The SVG.
    """
    named = f"{ident}-{frame.name}"
    return tag(
        "svg",
        tag("title", text(heading), id=f"{named}-t"),
        tag("desc", text(description), id=f"{named}-d"),
        *parts,
        class_=f"chart {frame.name}",
        viewBox=f"0 0 {figure(frame.width)} {figure(frame.height)}",
        role="img",
        aria_labelledby=f"{named}-t {named}-d",
    )


def shortened(words: str, room: float, size: float = 12) -> str:
    """Words cut in the middle until they fit.

    >>> shortened("features.0.weight", 60), shortened("fc", 60)
    ('feat…ight', 'fc')
    """
    if width_of(words, size) <= room:
        return words
    for keep in range(len(words) - 1, 3, -1):
        head = (keep + 1) // 2
        shown = words[:head] + "\N{HORIZONTAL ELLIPSIS}" + words[len(words) - (keep - head) :]
        if width_of(shown, size) <= room:
            return shown
    return words[:2] + "\N{HORIZONTAL ELLIPSIS}" + words[-1:]


def width_of(words: str, size: float = 12) -> float:
    """About how wide a text will be; a little too much rather than too little, for fonts differ."""
    return size * sum(
        0.36
        if c in "iljtf.,:;|'() "
        else 0.95
        if c in "mwMW%@=<>&+\N{HORIZONTAL ELLIPSIS}"
        else 0.72
        if c.isupper()
        else 0.63
        for c in words
    )
