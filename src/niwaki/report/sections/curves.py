"""Figures of curves that several sections draw: one line per cohort, and a table of the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..charts.axes import Axis
from ..charts.lines import Lane, Line, LineChart, draw_lines
from ..cohorts import Cohort
from ..document import Cell, Figure, Key, Table, drawn, line_keys, sentence, stage_keys
from ..facts import Facts
from ..readable import UNKNOWN
from ..series import Curve, value_at
from ..stages import Stage, folded, stages_of

# About so many stages can be told apart in drawings of one width.
_WIDE, _NARROW = 200, 70
_COLUMNS = 6


@dataclass(frozen=True)
class Topic:
    """What a figure shows: its title and caption, its axes, and how one cohort becomes a curve.

    ``staged`` shows the stages, behind the line of a single cohort, as strips below several.
    """

    title: str
    caption: str
    x: Axis
    y: Axis
    curve: Callable[[Cohort], Curve]
    marks: bool = False
    stairs: bool = False
    staged: bool = False


def curves(topic: Topic, cohorts: Sequence[Cohort], facts: Facts, *, half: bool) -> Figure | None:
    """Draw a curve per cohort.

    Args:
        topic: what is shown.
        cohorts: whose curves; those without points are left out.
        facts: gives the figure its name.
        half: whether the figure is small and may stand beside others.

    Returns:
        The figure, or ``None`` if there is nothing to draw.
    """
    found = [(c, topic.curve(c)) for c in cohorts]
    found = [(c, line) for c, line in found if len(line)]
    if not found:
        return None
    lines = [Line(c.label, line, c.tone, topic.marks and len(line) <= 40, topic.stairs) for c, line in found]
    stages = [(c, stages_of(c.counted[0])) for c, _ in found] if topic.staged else []
    alone = len(found) == 1
    shades = stages[0][1] if stages and alone else ()
    lanes = [Lane(c.label, c.tone, some) for c, some in stages] if not alone else []
    ends = "; ".join(f"{c.label} ends at {topic.y.show(float(line.y[-1]))}" for c, line in found[:12])
    chart = LineChart(topic.title, ends, lines, topic.x, topic.y, shades, lanes)
    keys = [
        *(line_keys([c for c, _ in found]) if not alone else []),
        *_stage_keys([some for _, some in stages], half=half),
    ]
    ident = facts.name()
    drawings = drawn(partial(draw_lines, chart), ident, half=half)
    return Figure(ident, drawings, topic.caption, keys, _numbers(topic, found), sentence(topic.title), is_half=half)


def _stage_keys(several: Sequence[Sequence[Stage]], *, half: bool) -> list[Key]:
    """The stages as any of the drawings shows them."""
    most = (_NARROW,) if half else (_WIDE, _NARROW)
    return stage_keys(stage for limit in most for some in several for stage in folded(some, limit))


def _numbers(topic: Topic, found: Sequence[tuple[Cohort, Curve]]) -> Table:
    """Every curve read off at a few places, the last of which is where the shortest one ends."""
    begin = max(float(line.x[0]) for _, line in found)
    end = min(float(line.x[-1]) for _, line in found)
    at = np.linspace(begin, max(begin, end), _COLUMNS) if end > begin else np.array([begin])
    if topic.x.log and begin > 0 and end > begin:
        at = np.geomspace(begin, end, _COLUMNS)
    rows = [[Cell(c.label), *(Cell(_words(topic, line, float(x))) for x in at)] for c, line in found]
    return Table(f"{topic.title}, read off at {topic.x.label}", ["Method", *(topic.x.show(float(x)) for x in at)], rows)


def _words(topic: Topic, line: Curve, x: float) -> str:
    value = value_at(line, x)
    return UNKNOWN if value is None else topic.y.show(value)
