"""Density per layer: at the end, and how it moved."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..charts.axes import Axis
from ..charts.heat import LEVELS, HeatChart, bounds, draw_heat
from ..charts.rows import RowChart, Value, draw_rows
from ..cohorts import Cohort
from ..compare import Block
from ..document import Cell, Figure, Group, Section, Table, drawn, grouped, heat_keys, point_keys, sentence
from ..facts import Facts, step_words
from ..read import Record, Run, number
from ..readable import counted, listed, share
from ..series import Array, Curve
from .curves import Topic, curves

_NAMES = "layers", "Layers", "Where the weights are"
_MOST_HEATS = 6
# Layers whose density changes by less than this are said to stand still.
_STILL = 1.001


def layers(facts: Facts) -> Section:
    """Density per layer at the end, of the whole network on the way, and per layer on the way.

    Args:
        facts: the runs.

    Returns:
        The section; it is missing if no run wrote densities.
    """
    groups = [grouped(facts.heading(block), found) for block in facts.blocks if (found := _of_block(block, facts))]
    if not groups:
        return Section(*_NAMES, missing="No run wrote down the density of its layers.")
    moving = {c: heat for c in facts.cohorts if (heat := _over_time(c.counted[0])) is not None}
    moved = [c for c, (_, _, values) in moving.items() if _moves(values)]
    if moved:
        heats = [_heat(c, moving[c], facts, half=len(moved) > 1) for c in moved[:_MOST_HEATS]]
        groups.append(Group("How the layers moved" if len(moved) > 1 else "", heats))
    notes = []
    still = [c.label for c in moving if c not in moved]
    if still:
        notes.append(f"After every cycle each layer had the density it began with: {listed(still)}.")
    if len(moved) > _MOST_HEATS:
        notes.append(f"How the layers moved is drawn for {_MOST_HEATS} of {counted(len(moved), 'cohort')}.")
    return Section(*_NAMES, lead=_lead(facts), groups=groups, notes=notes)


def _lead(facts: Facts) -> str:
    if len(facts.cohorts) > 1:
        return ""
    found = _at_end(facts.cohorts[0])
    if len(found) < 2:
        return ""
    (thin, low), (full, high) = min(found, key=lambda f: f[1].value), max(found, key=lambda f: f[1].value)
    return f"{thin} is the thinnest layer at {share(low.value)}, {full} the fullest at {share(high.value)}."


def _of_block(block: Block, facts: Facts) -> list[Figure]:
    made = [_end(block, facts), _whole(block, facts)]
    return [figure for figure in made if figure is not None]


def _densities(run: Run) -> Record:
    for record in (run.result or {}, *reversed(run.moves[-1:])):
        found = record.get("densities")
        if isinstance(found, dict) and found:
            return {name: v for name in found if (v := number(found, name)) is not None}
    return {}


def _at_end(cohort: Cohort) -> list[tuple[str, Value]]:
    found = [_densities(run) for run in cohort.counted]
    names = [name for name in found[0] if all(name in other for other in found)]
    out = []
    for name in names:
        values = [float(some[name]) for some in found]
        mean = float(np.mean(values))
        out.append((str(name), Value(cohort.label, mean, min(values), max(values), cohort.tone)))
    return out


def _end(block: Block, facts: Facts) -> Figure | None:
    cohorts = [c for c in block.cohorts if not c.is_dense]
    rows: dict[str, list[Value]] = {}
    for mark, cohort in enumerate(cohorts):
        for name, value in _at_end(cohort):
            one = Value(value.name, value.value, value.low, value.high, value.tone, mark)
            rows.setdefault(name, []).append(one)
    if not rows:
        return None
    drawn_rows = [(name, values) for name, values in rows.items()]
    several = any(len(values) > 1 for values in rows.values())
    lows = [v.low for values in rows.values() for v in values]
    log = several and min(lows) > 0 and max(lows) > 8 * min(lows)
    axis = Axis("density" + (", logarithmic" if log else ""), share, low=None if log else 0.0, log=log)
    heading = "density per layer at the end"
    chart = RowChart(heading, _in_words(drawn_rows), drawn_rows, axis)
    keys = point_keys([(c.label, c.tone, i) for i, c in enumerate(cohorts)]) if several else []
    half = not facts.has_one_block
    caption = "The share of each layer's units that is left, from the first layer to the last."
    if any(len(c.counted) > 1 for c in cohorts):
        caption += " Mean over seeds; the lines reach from the lowest to the highest."
    ident = facts.name()
    drawings = drawn(partial(draw_rows, chart), ident, half=half)
    return Figure(ident, drawings, caption, keys, _numbers(rows, cohorts), sentence(heading), is_half=half)


def _in_words(rows: Sequence[tuple[str, Sequence[Value]]]) -> str:
    words = [f"{name}: {listed([share(v.value) for v in values])}" for name, values in rows[:10]]
    return "; ".join(words) + ("; and so on" if len(rows) > 10 else "")


def _numbers(rows: dict[str, list[Value]], cohorts: Sequence[Cohort]) -> Table:
    labels = [c.label for c in cohorts]
    body = []
    for name, values in rows.items():
        own = {value.name: share(value.value) for value in values}
        body.append([Cell(name), *(Cell(own.get(label, "")) for label in labels)])
    return Table("Density per layer at the end", ["Layer", *labels], body)


def _whole(block: Block, facts: Facts) -> Figure | None:
    """The density of the whole network, move by move; nothing if it never changed."""

    def line(cohort: Cohort) -> Curve:
        run = cohort.counted[0]
        points = [(m["step"], d) for m in run.moves if (d := number(m, "density")) is not None]
        if not points:
            return Curve(np.empty(0), np.empty(0))
        # What was there before the first move, training wrote down; the last density holds to the end of the run.
        before = [d for r in run.train[:1] if r["step"] < points[0][0] and (d := number(r, "density")) is not None]
        points = [*((0, d) for d in before), *points, (run.last_step, points[-1][1])]
        return Curve(*np.array(points, dtype=np.float64).T)

    shapes = [shape for c in block.cohorts if len(shape := line(c))]
    if not any(shape.y.max() > _STILL * shape.y.min() for shape in shapes):
        return None
    caption = "The share of all units that is active, from move to move, of the first seed."
    axis = Axis("density", share, low=0.0)
    topic = Topic("density of the whole network", caption, Axis("step", step_words, low=0.0), axis, line, stairs=True)
    return curves(topic, block.cohorts, facts, half=not facts.has_one_block)


def _over_time(run: Run) -> tuple[list[str], Array, Array] | None:
    """Layers, steps, and densities ``[layers, steps]`` after each move that ended a cycle."""
    ended = [m for m in run.moves if isinstance(m.get("densities"), dict) and _ends_cycle(str(m.get("move")))]
    if len(ended) < 2:
        return None
    names = [str(name) for name in ended[0]["densities"]]
    values = [[number(m["densities"], name) or 0.0 for name in names] for m in ended]
    return names, np.array([m["step"] for m in ended], dtype=np.float64), np.array(values, dtype=np.float64).T


def _ends_cycle(move: str) -> bool:
    # What is dropped may grow again, and an exploration delivers nothing.
    return move != "explore" and not move.endswith("drop")


def _moves(values: Array) -> bool:
    return bool((values.max(1) > _STILL * values.min(1)).any())


def _heat(cohort: Cohort, found: tuple[list[str], Array, Array], facts: Facts, *, half: bool) -> Figure:
    names, times, values = found
    run = cohort.counted[0]
    heading = cohort.label if half else "How the layers moved"
    low, high = bounds(values)
    words = f"Density of {counted(len(names), 'layer')} after each cycle, from {share(low)} to {share(high)}"
    chart = HeatChart(heading, words, names, times, values, run.last_step, Axis("step", step_words))
    seed = number(run.config, "seed")
    caption = f"{words}; shades by factors. " + (f"Seed {seed:.0f}." if seed is not None else "")
    at = np.unique(np.linspace(0, len(times) - 1, 6).round().astype(int))
    body = [[Cell(name), *(Cell(share(float(v))) for v in values[row, at])] for row, name in enumerate(names)]
    numbers = Table("Density per layer after a cycle", ["Layer", *(step_words(t) for t in times[at])], body)
    ident = facts.name()
    keys = heat_keys(share(low), share(high), LEVELS)
    drawings = drawn(partial(draw_heat, chart), ident, half=half)
    return Figure(ident, drawings, caption.strip(), keys, numbers, heading, is_half=half)
