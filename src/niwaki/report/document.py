"""What a page is made of, before it is HTML: sections of figures and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from .charts.lines import tone_class
from .charts.scatter import shape
from .charts.svg import HALF, NARROW, WIDE, Frame, tag
from .cohorts import Cohort
from .stages import Stage


@dataclass(frozen=True)
class Cell:
    """One cell of a table: words, a smaller line below them, and how it looks (``best``, ``quiet``)."""

    words: str
    below: str = ""
    look: str = ""


@dataclass(frozen=True)
class Table:
    """Named columns and rows of cells; the first cell of a row names it. A long table is folded away."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    is_long: bool = False

    @property
    def is_small(self) -> bool:
        """Whether it may share its line with another table."""
        return len(self.columns) <= 3

    @property
    def is_pairs(self) -> bool:
        """Whether it is a list of names and values."""
        return len(self.columns) == 2


@dataclass(frozen=True)
class Key:
    """One entry of a legend: a small drawing and its meaning."""

    picture: str
    words: str


@dataclass(frozen=True)
class Figure:
    """Drawings of one chart for different widths, its legend, caption, and its numbers as a table."""

    ident: str
    drawings: Sequence[str]
    caption: str
    keys: Sequence[Key] = ()
    numbers: Table | None = None
    heading: str = ""
    is_half: bool = False


@dataclass(frozen=True)
class Group:
    """Figures that belong together, under one heading and with one legend where they can share it."""

    heading: str
    figures: Sequence[Figure]
    keys: Sequence[Key] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page.

    ``short`` is its name in the list of sections, ``lead`` says in a sentence what is to be seen, ``missing`` why there
    is nothing.
    """

    ident: str
    short: str
    title: str
    lead: str = ""
    groups: Sequence[Group] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    commands: Sequence[tuple[str, str]] = ()
    missing: str = ""


@dataclass
class Namer:
    """Gives figures names that are unique on the page."""

    used: int = field(default=0)

    def __call__(self) -> str:
        """The next name."""
        self.used += 1
        return f"figure-{self.used}"


def drawn(draw: Callable[[Frame, str], str], ident: str, *, half: bool) -> tuple[str, ...]:
    """The drawings of one figure: a single one of half the width, or one for wide and one for narrow screens."""
    return tuple(draw(frame, ident) for frame in ((HALF,) if half else (WIDE, NARROW)))


def grouped(heading: str, figures: Sequence[Figure]) -> Group:
    """Put figures together; small ones, which stand side by side, share one legend.

    Args:
        heading: stands above them.
        figures: the figures.

    Returns:
        The group.
    """
    if not all(figure.is_half for figure in figures):
        return Group(heading, figures)
    keys = {key.words: key for figure in figures for key in figure.keys}
    return Group(heading, [replace(figure, keys=()) for figure in figures], list(keys.values()))


def cells(*words: str) -> list[Cell]:
    """Plain cells."""
    return [Cell(word) for word in words]


def sentence(words: str) -> str:
    """With a capital letter at the beginning."""
    return words[:1].upper() + words[1:]


def line_keys(cohorts: Iterable[Cohort]) -> list[Key]:
    """The legend of lines."""
    return [Key(_swatch(tag("path", d="M1 6h22", class_=f"line {tone_class(c.tone)}")), c.label) for c in cohorts]


def point_keys(entries: Iterable[tuple[str, int | None, int]]) -> list[Key]:
    """The legend of points: name, colour and shape of each."""
    return [
        Key(_swatch(tag("path", d=shape(s, 12, 6, 4.6), class_=f"point {tone_class(t)}")), n) for n, t, s in entries
    ]


def stage_keys(stages: Iterable[Stage]) -> list[Key]:
    """The legend of stages, each once."""
    tones = dict.fromkeys((stage.tone, stage.name) for stage in stages)
    rect = {"x": 1, "y": 1, "width": 22, "height": 10, "rx": 2}
    return [Key(_swatch(tag("rect", **rect, class_=f"lane stage-{tone}")), name) for tone, name in tones]


def _swatch(inside: str) -> str:
    return tag("svg", inside, class_="swatch", viewBox="0 0 24 12", width=24, height=12, aria_hidden="true")


def heat_keys(low: str, high: str, levels: int) -> list[Key]:
    """The legend of shades, from the lowest to the highest value."""
    side = 24 / levels
    parts = [tag("rect", x=side * i, y=1, width=side + 0.3, height=10, class_=f"heat heat-{i}") for i in range(levels)]
    return [Key(_swatch("".join(parts)), f"{low} to {high}")]
