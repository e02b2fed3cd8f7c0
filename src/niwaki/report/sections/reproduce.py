"""How to do it again: commands, versions, seeds, machine."""

from __future__ import annotations

from ..compare import accuracy
from ..document import Cell, Section, Table, sentence
from ..facts import Facts
from ..read import Record, number, text
from ..readable import listed, percent

_NAMES = "reproduce", "Reproduce", "How to do it again"
_SHOWN = ("niwaki", "torch", "python", "numpy", "machine", "threads")


def reproduce(facts: Facts) -> Section:
    """One command per run, and the versions it ran with.

    Args:
        facts: the runs.

    Returns:
        The section.
    """
    names: dict[str, list[str]] = {}
    for run in facts.runs:
        if command := text(run.config, "command", ""):
            names.setdefault(command, []).append(run.name)
    commands = [(listed(some, most=4), command) for command, some in names.items()]
    tables = [_versions([run.versions for run in facts.runs])]
    if facts.has_one_run:
        tables.append(_settings(facts.runs[0].config))
    else:
        tables.append(_runs(facts))
    notes = [] if commands else ["The runs did not write down their commands."]
    lead = ""
    if not facts.has_one_run:
        alike = len({str(dict(run.versions)) for run in facts.runs}) == 1
        lead = "All runs used the same versions." if alike else "The runs did not all use the same versions."
    return Section(*_NAMES, lead=lead, tables=tables, notes=notes, commands=commands)


def _versions(versions: list[Record]) -> Table:
    keys = [*_SHOWN, *dict.fromkeys(k for v in versions for k in v if k not in _SHOWN)]
    rows = []
    for key in keys:
        found = dict.fromkeys(text(v, key, "") for v in versions)
        words = [word for word in found if word]
        if words:
            rows.append([Cell(key), Cell("; ".join(words))])
    return Table("Versions and machine", ["What", "Version"], rows)


def _settings(config: Record) -> Table:
    rows = []
    for key, value in config.items():
        if key == "command" or value is None or value == {}:
            continue
        words = ", ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
        rows.append([Cell(key), Cell(words)])
    return Table("Settings", ["Setting", "Value"], rows)


def _runs(facts: Facts) -> Table:
    rows = []
    for cohort in facts.cohorts:
        for run in cohort.runs:
            seed = number(run.config, "seed")
            state = "finished" if run.is_finished else f"step {run.last_step:,} of {run.steps:,}"
            words = [Cell(run.name), Cell(cohort.label), Cell("" if seed is None else f"{seed:.0f}"), Cell(state)]
            rows.append([*words, Cell(percent(accuracy(run), 2))])
    return Table("Every run", ["Run", "Method", "Seed", "State", sentence(facts.result)], rows, is_long=len(rows) > 6)
