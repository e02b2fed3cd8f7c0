"""Loss and accuracy on the way, and at equal steps and equal training FLOPs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..budget import Purse, equal_spending
from ..charts.axes import Axis
from ..cohorts import Cohort
from ..compare import Block, Spread
from ..document import Cell, Figure, Section, Table, grouped, sentence
from ..facts import Facts, step_words
from ..readable import compact, percent, percents, plain, share
from ..series import Array, Curve, curve, over_seeds, smoothed
from ..stages import cycle_in_words, cycle_length, stages_of
from .curves import Topic, curves

_NAMES = "learning", "Learning", "On the way"
_STRETCHES = 220


def learning(facts: Facts) -> Section:
    """Curves over steps and FLOPs, and the table of equal spending.

    Args:
        facts: the runs.

    Returns:
        The section; it is missing if nothing was measured yet.
    """
    groups = [grouped(facts.heading(block), found) for block in facts.blocks if (found := _figures(block, facts))]
    tables = [_equal(block, facts) for block in facts.blocks if len(block.everyone) > 1]
    notes = _notes(facts, has_tables=bool(tables))
    if not groups:
        return Section(*_NAMES, missing="Nothing was measured yet, so there are no curves.", notes=notes)
    return Section(*_NAMES, lead=_lead(facts), groups=groups, tables=tables, notes=notes)


def _lead(facts: Facts) -> str:
    found = {c.variant: cycle_in_words(stages_of(c.counted[0])) for c in facts.cohorts}
    words = [f"One cycle of {name}: {cycle}." for name, cycle in found.items() if cycle is not None]
    return " ".join(words[:3])


def _notes(facts: Facts, *, has_tables: bool) -> list[str]:
    notes = []
    if has_tables:
        notes.append(
            f"{sentence(facts.way)} at equal steps and at equal training FLOPs: the latter is read off the curves at "
            "what the cheapest run spent in all. A method that went on beyond is seen here in the middle of its "
            "learning-rate schedule, which makes it look worse than a run planned for that budget would."
        )
    if facts.way != facts.result:
        notes.append(f"Curves show the {facts.way}; the results are the {facts.result}, measured once at the end.")
    for run in facts.runs:
        notes += [f"{run.name}: {note}." for note in run.notes]
    return notes


def _figures(block: Block, facts: Facts) -> list[Figure]:
    known = [c for c in block.everyone if len(_over_flops(c))]
    low = _floor(block)
    made = [(_accuracy(facts, low), block.everyone), (_loss(block), block.everyone)]
    if len(known) > 1:
        made.append((_spending(known, facts, low), tuple(known)))
    half = not facts.has_one_block
    figures = [curves(topic, cohorts, facts, half=half) for topic, cohorts in made]
    return [figure for figure in figures if figure is not None]


def _over_steps(cohort: Cohort) -> Curve:
    return over_seeds([curve(run.evals, "step", "accuracy") for run in cohort.counted])


def _floor(block: Block) -> float | None:
    """Where the accuracy axis begins.

    The steep rise at the beginning would squeeze the differences at the end, which one wants to see. With several
    cohorts the axis begins below what the slowest has at two fifths of its run. Nothing is cut off a single one.
    """
    lines = [line for c in block.everyone if len(line := _over_steps(c)) > 2]
    if len(lines) < 2:
        return None
    later = [side[line.x >= line.x[0] + 0.4 * (line.x[-1] - line.x[0])] for line in lines for side in _sides(line)]
    low, high = min(float(side.min()) for side in later), max(float(side.max()) for side in later)
    floor = low - 0.15 * (high - low)
    return floor if floor > min(float(line.y.min()) for line in lines) else None


def _sides(line: Curve) -> list[Array]:
    return [side for side in (line.y, line.low, line.high) if side is not None]


def _accuracy(facts: Facts, low: float | None) -> Topic:
    caption = "Accuracy on data not trained on, of the network as it would be delivered at that step."
    if low is not None:
        caption += f" What lies below {percent(low, 0)} is cut off; the table has it."
    x, y = Axis("step", step_words, low=0.0), Axis(facts.way, share, low=low, most=1.0)
    return Topic(f"{facts.way} over steps", caption, x, y, _over_steps, marks=True, staged=True)


def _loss(block: Block) -> Topic:
    def line(cohort: Cohort) -> Curve:
        lines = [curve(run.train, "step", "loss") for run in cohort.counted]
        return smoothed(lines, _stretch(cohort))

    shapes = [shape for c in block.everyone if len(shape := line(c))]
    lows = np.concatenate([shape.y for shape in shapes]) if shapes else np.ones(1)
    log = bool(lows.min() > 0 and lows.max() > 15 * lows.min())
    caption = "Training loss, as the network in training has it: in exploration, with every unit active."
    several = any(len(c.counted) > 1 for c in block.everyone)
    caption += " The band reaches from the lowest to the highest " + ("seed." if several else "step of each stretch.")
    label = "loss, logarithmic" if log else "loss"
    x, y = Axis("step", step_words, low=0.0), Axis(label, plain, log=log)
    return Topic("loss over steps", caption, x, y, line, staged=True)


def _stretch(cohort: Cohort) -> float:
    """Over how many steps the loss is averaged; over whole cycles where a single one could not be seen.

    Stretches that are nearly as long as a cycle would beat with it: some would hold more exploration than others.
    """
    run = cohort.counted[0]
    stretch = max(1.0, run.last_step / _STRETCHES)
    cycle = cycle_length(stages_of(run))
    return stretch if cycle is None or cycle >= 4 * stretch else cycle * math.ceil(stretch / cycle)


def _over_flops(cohort: Cohort) -> Curve:
    lines = [curve(run.evals, "flops", "accuracy") for run in cohort.counted]
    return over_seeds(lines) if all(len(line) for line in lines) else Curve(np.empty(0), np.empty(0))


def _spending(known: Sequence[Cohort], facts: Facts, low: float | None) -> Topic:
    totals = [float(_over_flops(c).x[-1]) for c in known]
    log = max(totals) > 4 * min(totals)
    # Nothing is drawn where every line lies below the floor.
    lines = [_over_flops(c) for c in known]
    seen = [float(line.x[line.y >= low].min()) for line in lines if low is not None and (line.y >= low).any()]
    begin = 0.8 * min(seen) if seen else None if log else 0.0
    axis = Axis("training FLOPs spent" + (", logarithmic" if log else ""), compact, low=begin, log=log)
    caption = "The same accuracies against what had been spent by then: left is cheaper."
    y = Axis(facts.way, share, low=low, most=1.0)
    return Topic(f"{facts.way} over training FLOPs", caption, axis, y, _over_flops, marks=True)


def _equal(block: Block, facts: Facts) -> Table:
    heading = facts.heading(block)
    steps, flops = equal_spending(block.everyone, "step"), equal_spending(block.everyone, "flops")
    columns = ["Method", "At the same step", "At the same training FLOPs"]
    if steps.budget is not None:
        columns[1] = f"At step {step_words(steps.budget)}"
    if flops.budget is not None:
        columns[2] = f"At {compact(flops.budget, 'FLOPs')}"
    rows = [[Cell(c.variant if heading else c.label), _at(steps, c), _at(flops, c)] for c in block.everyone]
    caption = f"{sentence(facts.way)} at equal steps and at equal training FLOPs"
    return Table(f"{heading}: at equal spending" if heading else caption, columns, rows)


def _at(purse: Purse, cohort: Cohort) -> Cell:
    if cohort.label in purse.unknown:
        return Cell("unknown", "not measured or not counted", "quiet")
    found: Spread | None = purse.accuracies.get(cohort.label)
    if found is None:
        return Cell("unknown", "not measured that early", "quiet")
    below = percents(found.low, found.high, 2) if found.n > 1 else ""
    return Cell(percent(found.mean, 2), below)
