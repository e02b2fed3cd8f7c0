"""Training FLOPs against accuracy."""

from __future__ import annotations

from functools import partial

from ..charts.axes import Axis
from ..charts.scatter import Dot, ScatterChart, draw_scatter
from ..cohorts import Cohort
from ..compare import accuracy, flops, spread
from ..document import Cell, Figure, Group, Key, Section, Table, drawn, point_keys
from ..facts import Facts, asked_words
from ..readable import compact, listed, percent, share

_NAMES = "efficiency", "Accuracy and cost", "What training cost, and what it bought"


def efficiency(facts: Facts) -> Section:
    """Training FLOPs against accuracy, one picture per task.

    Args:
        facts: the runs.

    Returns:
        The section; it is missing if no task has two cohorts that can be drawn.
    """
    asked = list(dict.fromkeys(c.asked for c in facts.cohorts))
    dots = {c: _dot(c, asked.index(c.asked)) for c in facts.cohorts}
    known = [c for c in facts.cohorts if dots[c] is not None]
    unknown = [c.label for c in facts.cohorts if dots[c] is None]
    figures = []
    several = len({c.task for c in known}) > 1
    for task in dict.fromkeys(c.task for c in known):
        some = [(c, dot) for c in known if c.task == task and (dot := dots[c]) is not None]
        if len(some) > 1:
            figures.append(_figure(some, facts, f"{task[0]} on {task[1]}" if several else ""))
    if not figures:
        what = "two methods or densities on one model and data" if several else "two methods or densities"
        why = f"Training FLOPs are set against accuracy as soon as {what} can be compared"
        why += f"; training FLOPs or accuracy are unknown for {listed(unknown)}." if unknown else "."
        return Section(*_NAMES, missing=why)
    notes = [f"Not drawn: {listed(unknown)}, whose training FLOPs or accuracy are unknown."] if unknown else []
    return Section(*_NAMES, groups=[Group("", figures)], notes=notes)


def _dot(cohort: Cohort, shape: int) -> Dot | None:
    cost, reached = spread(cohort, flops), spread(cohort, accuracy)
    if cost is None or reached is None or cost.low <= 0:
        return None
    seeds = tuple((flops(run) or 0.0, accuracy(run) or 0.0) for run in cohort.counted) if cost.n > 1 else ()
    ranges = (cost.low, cost.high), (reached.low, reached.high)
    return Dot(cohort.label, cost.mean, reached.mean, *ranges, seeds=seeds, tone=cohort.tone, shape=shape)


def _figure(some: list[tuple[Cohort, Dot]], facts: Facts, heading: str) -> Figure:
    dots = [dot for _, dot in some]
    wide = max(dot.x for dot in dots) > 4 * min(dot.x for dot in dots)
    chart = ScatterChart(
        f"Training FLOPs against {facts.result}",
        "; ".join(f"{dot.name}: {percent(dot.y)} for {compact(dot.x, 'FLOPs')}" for dot in dots[:12]),
        dots,
        Axis("training FLOPs" + (", logarithmic" if wide else ""), compact, log=wide),
        Axis(facts.result, share, most=1.0),
    )
    caption = "Up is better, left is cheaper. Each mark is the mean over seeds"
    caption += ", the bar reaches from the lowest to the highest seed." if any(d.seeds for d in dots) else "."
    ident = facts.name()
    drawings = drawn(partial(draw_scatter, chart), ident, half=False)
    return Figure(ident, drawings, caption, _keys(some), _numbers(dots), heading)


def _keys(some: list[tuple[Cohort, Dot]]) -> list[Key]:
    """One entry per colour and one per shape, where there are several densities."""
    shapes = {asked_words(c): dot.shape for c, dot in some if not c.is_dense}
    if len(shapes) < 2:
        return point_keys((dot.name, dot.tone, dot.shape) for _, dot in some)
    colours = {dot.tone: (c.variant, dot.tone, dot.shape if c.is_dense else 0) for c, dot in some}
    return point_keys([*colours.values(), *((words, None, shape) for words, shape in shapes.items())])


def _numbers(dots: list[Dot]) -> Table:
    rows = [
        [
            Cell(dot.name),
            Cell(compact(dot.x, "FLOPs")),
            Cell(percent(dot.y, 2)),
            Cell(percent(dot.y_range[0], 2)),
            Cell(percent(dot.y_range[1], 2)),
        ]
        for dot in sorted(dots, key=lambda dot: dot.x)
    ]
    return Table("Training FLOPs and accuracy", ["Method", "Training FLOPs", "Mean", "Lowest", "Highest"], rows)
