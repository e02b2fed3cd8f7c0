"""What each method reached, over its seeds."""

from __future__ import annotations

from typing import Any

from ..cohorts import Cohort
from ..compare import Block, Verdict, accuracy, part, row, spread, verdicts
from ..document import Cell, Section, Table, sentence
from ..facts import Facts, weight_words
from ..readable import counted, duration, flops, listed, percent, percents, points, share, size, times

_MARKS = {"best": "best", "highest": "highest mean"}


def reached(facts: Facts) -> Section:
    """The comparison table, one per block.

    Args:
        facts: the runs.

    Returns:
        The section.
    """
    tables = [_table(block, facts) for block in facts.blocks]
    title = "What it reached" if facts.has_one_run else "What each method reached"
    notes = ["Accuracy is the mean over seeds; below it, the lowest and the highest seed."]
    if any(verdicts(block) for block in facts.blocks):
        notes.append(
            "“Best” is said only where no seed of another method of that density comes near, and everyone has "
            "three seeds; anything less is “highest mean”. “Seed by seed” is the mean of the differences between runs "
            "of one seed, with its standard deviation: they begin with the same weights and see the same batches."
        )
    if any(not run.is_finished for run in facts.runs):
        notes.append(
            "Runs that have not finished count only where no finished one is there, with what they have so far."
        )
    if facts.has_one_run:
        notes = []
    return Section("reached", "Results", title, lead=in_a_sentence(facts), tables=tables, notes=notes)


def in_a_sentence(facts: Facts) -> str:
    """Who is best, block by block, as far as may be said.

    Args:
        facts: the runs.

    Returns:
        A sentence; nothing where there is nothing to compare.
    """
    words = []
    for block in facts.blocks:
        for label, verdict in verdicts(block).items():
            if verdict.mark == "best":
                words.append(f"{label} is best")
            elif verdict.mark:
                words.append(f"{label} has the highest mean ({verdict.why})")
    return "; ".join(words) + "." if words else ""


def _table(block: Block, facts: Facts) -> Table:
    found = verdicts(block)
    dense = _mean(block.dense[0]) if block.dense and block.cohorts else None
    rows = [(cohort, row(cohort, found.get(cohort.label, Verdict()))) for cohort in block.everyone]
    has_file = any(values["file_bytes"] for _, values in rows)
    columns = [
        "Method",
        sentence(facts.result),
        *(["Against dense"] if dense is not None else []),
        "Seeds",
        "Weights kept",
        *(["Model file"] if has_file else []),
    ]
    columns += ["Training cost", "Time"]
    body = []
    for cohort, values in rows:
        line = [_name(cohort, values), _accuracy(values)]
        if dense is not None:
            line.append(_against(cohort, values, dense))
        line += [_seeds(values), _kept(cohort, values), *([_file(values)] if has_file else [])]
        memory = f"{size(values['peak_memory'])} at most" if values["peak_memory"] else ""
        body.append([*line, _cost(values), Cell(duration(values["seconds"]), memory)])
    return Table(facts.heading(block), columns, body)


def _mean(cohort: Cohort) -> float | None:
    found = spread(cohort, accuracy)
    return None if found is None else found.mean


def _name(cohort: Cohort, values: dict[str, Any]) -> Cell:
    words = [_MARKS.get(values["verdict"], ""), values["why"] if values["verdict"] != "best" else ""]
    if not cohort.counted[0].is_finished:
        words = [f"not finished: step {cohort.first.last_step:,} of {cohort.first.steps:,}"]
        if part(cohort.first) == "valid":
            words.append("validation accuracy so far")
    look = "best" if values["verdict"] == "best" else "high" if values["verdict"] else ""
    return Cell(cohort.label, ", ".join(word for word in words if word), look)


def _accuracy(values: dict[str, Any]) -> Cell:
    look = "best" if values["verdict"] == "best" else ""
    if values["runs"] < 2 or values["accuracy"] is None:
        return Cell(percent(values["accuracy"], 2), "", look)
    below = percents(values["accuracy_min"], values["accuracy_max"], 2)
    return Cell(percent(values["accuracy"], 2), below, look)


def _against(cohort: Cohort, values: dict[str, Any], dense: float) -> Cell:
    if cohort.is_dense or values["accuracy"] is None:
        return Cell("", look="quiet")
    return Cell(points(values["accuracy"] - dense))


def _seeds(values: dict[str, Any]) -> Cell:
    seeds = values["seeds"]
    below = [listed([str(seed) for seed in seeds], most=6)]
    if values["runs"] > len(seeds):
        below.append(f"{values['runs']} runs: a seed comes more than once")
    if values["unfinished"] and values["unfinished"] != values["runs"]:
        below.append(f"{counted(values['unfinished'], 'run')} not finished")
    return Cell(str(len(seeds)), "; ".join(below))


def _kept(cohort: Cohort, values: dict[str, Any]) -> Cell:
    kept, total = values["weights_kept"], values["weights_total"]
    words = share(values["weights_left"])
    if kept is not None and total is not None:
        return Cell(words, f"{weight_words(kept)} of {weight_words(total)}")
    return Cell(words)


def _file(values: dict[str, Any]) -> Cell:
    if values["file_bytes"] is None or values["dense_bytes"] is None:
        return Cell("", look="quiet")
    return Cell(size(values["file_bytes"]), f"dense {size(values['dense_bytes'])}")


def _cost(values: dict[str, Any]) -> Cell:
    if values["flops"] is None:
        return Cell("unknown", "FLOPs were not counted", "quiet")
    if values["dense_runs"] is None:
        return Cell(flops(values["flops"]))
    return Cell(f"{times(values['dense_runs'])} dense", flops(values["flops"]))
