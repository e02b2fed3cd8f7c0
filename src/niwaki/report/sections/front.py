"""Accuracy against measured latency, over runs and cuts; and how well the latencies were predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ..charts.axes import Axis
from ..charts.cloud import CloudChart, Mark, draw_cloud
from ..charts.scatter import Dot, ScatterChart, draw_scatter, front_of
from ..cohorts import Cohort
from ..compare import ENOUGH_SEEDS, accuracy, spread
from ..document import Cell, Figure, Group, Section, Table, drawn, point_keys, sentence
from ..facts import Facts
from ..latencies import Latency, latency_of
from ..read import Run, number
from ..readable import listed, moment, percent, plain, share
from .latency import latency_section
from .widths import widths_figure

_NAMES = "latency", "Latency", "How fast it became"
_MS = 1e3


@dataclass(frozen=True, eq=False)
class _Point:
    """A cohort with the latencies of its runs, all measured in one setting."""

    cohort: Cohort
    found: tuple[tuple[Run, Latency], ...]
    dot: Dot


def latency(facts: Facts) -> Section | None:
    """The front of accuracy and latency, or for a single run all that is known of its latency.

    Args:
        facts: the runs.

    Returns:
        The section; ``None`` if no run was measured.
    """
    known = [(run, found) for run in facts.runs if (found := latency_of(run.result)) is not None]
    if not known:
        return None
    if facts.has_one_run:
        return _alone(*known[0], facts)
    points = [point for cohort in facts.cohorts for point in _points(cohort)]
    figures = [figure for place in _places(points) if (figure := _front(place, points, facts)) is not None]
    predicted = _predicted(known, facts)
    if predicted is not None:
        figures.append(predicted)
    measured = {run.folder for run, _ in known}
    without = [c.label for c in facts.cohorts if not c.is_dense and not any(r.folder in measured for r in c.counted)]
    notes = [f"Latency was not measured: {listed(without)}."] if without else []
    if any(len(point.found) < ENOUGH_SEEDS for point in points):
        notes.append(f"With fewer than {ENOUGH_SEEDS} seeds nothing is claimed of who is better.")
    if not figures:
        return Section(
            *_NAMES, missing="No run with a measured latency has an accuracy to set against it.", notes=notes
        )
    return Section(*_NAMES, groups=[Group("", figures)], notes=notes)


def _alone(run: Run, found: Latency, facts: Facts) -> Section:
    section = latency_section(found, facts.name)
    groups, said = ((run.result or {}).get(key) for key in ("groups", "notes"))
    if not groups:
        return section
    figure = widths_figure(groups, facts.name(), "Widths")
    return Section(
        section.ident, section.short, section.title, section.lead, [Group("", [figure]), *section.groups],
        section.tables, [*section.notes, *(f"{sentence(note)}." for note in said or [])],
    )  # fmt: skip


def _points(cohort: Cohort) -> list[_Point]:
    """One point per setting that all counted runs of a cohort were measured in."""
    found = [(run, latency_of(run.result)) for run in cohort.counted]
    mine = tuple((run, one) for run, one in found if one is not None and one.ratio is not None)
    reached = spread(cohort, accuracy)
    if not mine or reached is None or len(mine) < len(found) or len({one.where for _, one in mine}) > 1:
        return []
    ratios = [one.ratio or 0.0 for _, one in mine]
    ends = [end for _, one in mine for end in (one.low, one.high) if end is not None] or ratios
    seeds = tuple((one.ratio or 0.0, accuracy(run) or 0.0) for run, one in mine) if len(mine) > 1 else ()
    x_range = min(*ends, *ratios), max(*ends, *ratios)
    middle = sum(ratios) / len(ratios)
    # All of this picture is about latency.
    name = cohort.label.replace(" of the latency", "")
    dot = Dot(name, middle, reached.mean, x_range, (reached.low, reached.high), seeds, cohort.tone, 0)
    return [_Point(cohort, mine, dot)]


def _places(points: Sequence[_Point]) -> list[tuple[tuple[str, str], str]]:
    return list(dict.fromkeys((point.cohort.task, point.found[0][1].where) for point in points))


def _dense(place: tuple[tuple[str, str], str], points: Sequence[_Point], facts: Facts) -> Dot | None:
    """The dense network: its accuracy from dense runs, else from what the cuts began with."""
    values = [v for c in facts.cohorts if c.is_dense and c.task == place[0] for r in c.counted if (v := accuracy(r))]
    if not values:
        begun = [run.result for point in points for run, _ in point.found if run.result is not None]
        values = [v for r in begun if isinstance(r.get("dense"), dict) and (v := number(r["dense"], "accuracy"))]
    if not values:
        return None
    ends = min(values), max(values)
    return Dot("Dense", 1.0, sum(values) / len(values), (1.0, 1.0), ends, (), None, 3)


def _front(place: tuple[tuple[str, str], str], points: Sequence[_Point], facts: Facts) -> Figure | None:
    mine = [point for point in points if (point.cohort.task, point.found[0][1].where) == place]
    dense = _dense(place, mine, facts)
    dots = [*([dense] if dense is not None else []), *(point.dot for point in mine)]
    where = mine[0].found[0][1]
    several = len({point.cohort.task for point in points}) > 1
    heading = f"{place[0][0]} on {place[0][1]}, {where.short}" if several else f"Accuracy and latency, {where.short}"
    chart = ScatterChart(
        f"Latency against {facts.result}",
        "; ".join(f"{dot.name}: {percent(dot.y)} at {share(dot.x)} of the dense latency" for dot in dots[:12]),
        dots, Axis("measured latency, share of the dense network's", share), Axis(facts.result, share, most=1.0),
        front=True,
    )  # fmt: skip
    caption = "Up is better, left is faster. The stairs join what no other point beats in both. "
    caption += "Lines across are the 95\N{NO-BREAK SPACE}% interval of the latency"
    caption += ", those upwards reach from the lowest to the highest seed." if any(d.seeds for d in dots) else "."
    ident = facts.name()
    drawings = drawn(partial(draw_scatter, chart), ident, half=False)
    keys = point_keys((dot.name, dot.tone, dot.shape) for dot in dots)
    return Figure(ident, drawings, caption, keys, _numbers(dots, mine), heading)


def _numbers(dots: Sequence[Dot], points: Sequence[_Point]) -> Table:
    seconds = {
        p.dot.name: [v for _, one in p.found if (v := one.small.measured) is not None] for p in points
    }  # fmt: skip
    seconds["Dense"] = [v for p in points for _, one in p.found if (v := one.dense.measured) is not None]
    front = {dot.name for dot in front_of(dots)}
    rows = []
    for dot in sorted(dots, key=lambda dot: dot.x):
        found = seconds[dot.name]
        mean = sum(found) / len(found) if found else None
        ends = f"{share(dot.x_range[0])} to {share(dot.x_range[1])}" if dot.x_range[0] < dot.x_range[1] else ""
        reached = (
            f"{percent(dot.y_range[0], 2)} to {percent(dot.y_range[1], 2)}" if dot.y_range[0] < dot.y_range[1] else ""
        )
        rows.append([
            Cell(dot.name), Cell(moment(mean)), Cell(share(dot.x), ends), Cell(percent(dot.y, 2), reached),
            Cell("yes" if dot.name in front else "no"),
        ])  # fmt: skip
    return Table("Accuracy and latency", ["Method", "Latency", "Of the dense", "Accuracy", "On the front"], rows)


def _predicted(known: Sequence[tuple[Run, Latency]], facts: Facts) -> Figure | None:
    """Predicted against measured seconds of every smaller model, one colour per backend."""
    pairs = [
        (run, one, one.small.predicted, one.small.measured)
        for run, one in known
        if one.small.predicted is not None and one.small.measured is not None
    ]
    if not pairs:
        return None
    backends = list(dict.fromkeys(one.backend for _, one, _, _ in pairs))
    marks = []
    for run, one, expected, measured in pairs:
        at = backends.index(one.backend)
        words = f"{run.name}, {one.backend}: predicted {moment(expected)}, measured {moment(measured)}"
        marks.append(Mark(_MS * expected, _MS * measured, words, at, at))
    # From zero, so that the line of both being the same is always in sight.
    x, y = (Axis(f"{words}, milliseconds", plain, low=0.0) for words in ("predicted", "measured"))
    words = "; ".join(mark.words for mark in marks[:12])
    chart = CloudChart("Predicted against measured latency", words, marks, x, y, diagonal=True)
    rows = [
        [Cell(run.name), Cell(one.backend), Cell(moment(a)), Cell(moment(b)), Cell(plain(a / b) if b else "")]
        for run, one, a, b in pairs
    ]
    columns = ["Run", "Backend", "Predicted", "Measured", "Predicted over measured"]
    table = Table("Predicted and measured latency", columns, rows)
    ident = facts.name()
    drawings = drawn(partial(draw_cloud, chart), ident, half=False)
    keys = point_keys((backend, at, at) for at, backend in enumerate(backends))
    caption = "Each mark is one smaller model. On the dashed line both are the same."
    return Figure(ident, drawings, caption, keys, table, "Predicted against measured")
