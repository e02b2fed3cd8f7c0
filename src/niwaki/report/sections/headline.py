"""The top of the page: what was run, in one sentence, and the figures one remembers."""

from __future__ import annotations

from dataclasses import dataclass

from ..charts.mask import draw_mask, filled_dots
from ..cohorts import Cohort
from ..compare import Block, accuracy, dense_runs, flops, seconds, spread, weights_left
from ..document import sentence
from ..facts import Facts, weight_words
from ..read import number
from ..readable import counted, data_name, duration, gap, listed, percent, percents, share, times
from ..readable import flops as flops_words
from .reached import in_a_sentence


@dataclass(frozen=True)
class Tile:
    """One key figure: its name, the figure, and a few words below it."""

    name: str
    figure: str
    below: str = ""


@dataclass(frozen=True)
class Headline:
    """The top of the page; ``mask`` is a drawing of what is left, if something was removed."""

    title: str
    lead: str
    tiles: tuple[Tile, ...]
    mask: str = ""
    mask_words: str = ""


def headline(facts: Facts) -> Headline:
    """Sum the page up.

    Args:
        facts: the runs.

    Returns:
        Title, a sentence, key figures and the drawing of what is left.
    """
    block = max(facts.blocks, key=lambda b: len(b.cohorts))
    cohort = _chosen(block)
    tiles = (*_tiles(cohort, block, facts), *([] if facts.has_one_run else [_total(facts)]))
    left = spread(cohort, weights_left)
    if left is None or left.mean >= 1:
        return Headline(_title(facts, cohort), _lead(facts), tiles)
    dots = filled_dots(left.mean)
    words = f"{dots} of 1,000 dots are filled: {share(left.mean)} of the weights are left."
    return Headline(_title(facts, cohort), _lead(facts), tiles, draw_mask(left.mean, words), words)


def _chosen(block: Block) -> Cohort:
    """The cohort the figures are about: the one with the highest mean."""
    known = {c: found.mean for c in block.cohorts if (found := spread(c, accuracy)) is not None}
    return max(known, key=lambda c: known[c]) if known else block.cohorts[0]


def _title(facts: Facts, cohort: Cohort) -> str:
    data = data_name(cohort.task[1])
    if facts.has_one_run:
        reached, left = spread(cohort, accuracy), spread(cohort, weights_left)
        kept = "" if left is None or left.mean >= 1 else f" with {share(left.mean)} of its weights"
        verb = "reaches" if cohort.first.is_finished else "has so far reached"
        if reached is None:
            return f"{cohort.method} on {data}: nothing measured yet"
        return f"{cohort.method} {verb} {percent(reached.mean)} on {data}{kept}"
    methods = list(dict.fromkeys(c.method for c in facts.cohorts))
    tasks = list(dict.fromkeys(data_name(c.task[1]) for c in facts.cohorts))
    return f"{listed(methods, most=7)} on {listed(tasks, most=3)}"


def _lead(facts: Facts) -> str:
    first = facts.runs[0]
    models = listed(list(dict.fromkeys(c.task[0] for c in facts.cohorts)), most=3)
    if facts.has_one_run:
        seed = number(first.config, "seed")
        where = f"{models}, {first.steps:,} steps" + (f", seed {seed:.0f}." if seed is not None else ".")
        return where if first.is_finished else f"{where} {sentence(first.notes[0])}."
    asked = [c for c in facts.cohorts if not c.is_dense]
    densities = list(dict.fromkeys(c.asked for c in asked if not c.has_budget))
    budgets = list(dict.fromkeys(c.asked for c in asked if c.has_budget))
    seeds = sorted({len(c.seeds) for c in facts.cohorts})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    words = f"{counted(len(facts.runs), 'run')} of {models}"
    words += f" at density {listed(densities)}" if densities else ""
    words += f"{' and' if densities else ''} within {listed(budgets)}" if budgets else ""
    words += f", {many} seed{'' if many == '1' else 's'} each."
    return f"{words} {in_a_sentence(facts)}".strip()


def _tiles(cohort: Cohort, block: Block, facts: Facts) -> list[Tile]:
    reached, left, cost, ratio = (spread(cohort, f) for f in (accuracy, weights_left, flops, dense_runs))
    about = "" if len(block.everyone) == 1 else cohort.label
    below = about
    if reached is not None and reached.n > 1:
        below = f"{about}, {percents(reached.low, reached.high)}".removeprefix(", ")
    tiles = [Tile(sentence(facts.result), percent(reached.mean if reached else None), below)]
    dense = spread(block.dense[0], accuracy) if block.dense and block.cohorts else None
    if dense is not None and reached is not None:
        apart = dense.mean - reached.mean
        words = f"{gap(apart)} {'higher' if apart >= 0 else 'lower'}"
        tiles.append(Tile("Dense network", percent(dense.mean), words))
    if left is not None:
        result = cohort.counted[0].result
        kept, total = number(result, "weights_kept"), number(result, "weights_total")
        words = f"{weight_words(kept)} of {weight_words(total)}" if kept is not None and total is not None else ""
        tiles.append(Tile("Weights kept", share(left.mean), words))
    if ratio is not None and cost is not None:
        tiles.append(Tile("Training cost", times(ratio.mean), f"of a dense run, {flops_words(cost.mean)}"))
    elif cost is not None:
        tiles.append(Tile("Training cost", flops_words(cost.mean)))
    else:
        tiles.append(Tile("Training cost", "unknown", "FLOPs were not counted"))
    time = spread(cohort, seconds)
    if time is not None:
        tiles.append(Tile("Time", duration(time.mean), "mean of a run" if time.n > 1 else ""))
    return tiles


def _total(facts: Facts) -> Tile:
    known = [s for run in facts.runs if (s := seconds(run)) is not None]
    return Tile("All runs", duration(sum(known)), counted(len(known), "run"))
