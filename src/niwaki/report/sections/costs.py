"""Where the training went: steps, FLOPs, seconds, stage by stage; and peak memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..charts.axes import Axis
from ..charts.stacks import Part, StackChart, draw_stacks
from ..cohorts import Cohort
from ..compare import peak_memory, spread
from ..document import Cell, Figure, Group, Key, Section, Table, cells, drawn, sentence, stage_keys
from ..facts import Facts, step_words
from ..read import Run, number
from ..readable import UNKNOWN, compact, duration, flops, listed, percent, size
from ..stages import Stage

_TITLES = "costs", "Training cost", "Where the training went"
_SHOW: dict[str, Callable[[float], str]] = {"steps": step_words, "flops": flops, "seconds": duration}
_NAMES = {"steps": "steps", "flops": "training FLOPs", "seconds": "time"}


@dataclass(frozen=True, eq=False)
class _Account:
    """Means over the runs of a cohort: steps, FLOPs and seconds of each stage; ``None`` where a run does not know."""

    cohort: Cohort
    stages: dict[str, dict[str, float | None]]

    def total(self, key: str) -> float | None:
        values = [entry[key] for entry in self.stages.values()]
        known = [v for v in values if v is not None]
        return sum(known) if known and len(known) == len(values) else None


def costs(facts: Facts) -> Section:
    """Stacked bars of what each stage took.

    Args:
        facts: the runs.

    Returns:
        The section; it is missing as long as no run has written its ledger.
    """
    accounts = [account for c in facts.cohorts if (account := _account(c)) is not None]
    without = [c.label for c in facts.cohorts if _account(c) is None]
    if not accounts:
        return Section(*_TITLES, missing="The ledger is written at the end of a run; no run here has one yet.")
    figures = [_shares(accounts[0], facts)] if len(accounts) == 1 else _compared(accounts, facts)
    notes = [f"No ledger yet: {listed(without)}."] if without else []
    notes += [*_unknown(accounts), *_memory(accounts)]
    notes.append(
        "FLOPs are counted as if removed weights cost nothing. Time is what the machine took, where masks alone make "
        "nothing faster."
    )
    if len(accounts) == 1:
        lead, table = _lead(accounts[0]), _table(accounts)
        return Section(*_TITLES, lead=lead, groups=[Group("", figures)], tables=[table], notes=notes)
    return Section(*_TITLES, groups=[Group("", figures)], notes=notes)


def _account(cohort: Cohort) -> _Account | None:
    ledgers = [_stages(run) for run in cohort.counted]
    if not all(ledgers):
        return None
    names = dict.fromkeys(name for ledger in ledgers for name in ledger)
    means: dict[str, dict[str, float | None]] = {}
    for name in names:
        means[name] = {}
        for key in _SHOW:
            # A stage that one run never had took nothing there.
            values = [number(ledger[name], key) if name in ledger else 0.0 for ledger in ledgers]
            known = [v for v in values if v is not None]
            means[name][key] = sum(known) / len(known) if len(known) == len(values) else None
    return _Account(cohort, means)


def _stages(run: Run) -> dict[str, dict[str, float]]:
    stages = (run.ledger or {}).get("stages")
    return {n: e for n, e in stages.items() if isinstance(e, dict)} if isinstance(stages, dict) else {}


def _lead(account: _Account) -> str:
    total_steps, total_flops = account.total("steps"), account.total("flops")
    entry = account.stages.get("explore")
    if not entry or not total_steps or not total_flops or entry["steps"] is None or entry["flops"] is None:
        return ""
    steps, cost = percent(entry["steps"] / total_steps, 0), percent(entry["flops"] / total_flops, 0)
    return f"Exploring took {steps} of the steps and {cost} of the training FLOPs."


def _unknown(accounts: Sequence[_Account]) -> list[str]:
    lost = [account.cohort.label for account in accounts if account.total("flops") is None]
    return [f"Training FLOPs could not be counted, and are not drawn: {listed(lost)}."] if lost else []


def _keys(accounts: Sequence[_Account]) -> list[Key]:
    return stage_keys(Stage(name, 0, 1) for account in accounts for name in account.stages)


def _say(key: str, value: float | None) -> str:
    return UNKNOWN if value is None else _SHOW[key](value)


def _shares(account: _Account, facts: Facts) -> Figure:
    """One cohort alone: each stage's share of steps, FLOPs and time."""
    rows = []
    for key, name in _NAMES.items():
        total = account.total(key)
        if total:
            shares = [(stage, (entry[key] or 0.0) / total, entry[key]) for stage, entry in account.stages.items()]
            parts = [Part(stage, part, f"{percent(part)}, {_say(key, value)}") for stage, part, value in shares]
            rows.append((name, parts, _say(key, total)))
    words = [f"{name}: {listed([f'{p.stage} {percent(p.length, 0)}' for p in parts])}" for name, parts, _ in rows]
    chart = StackChart(
        "Shares of the stages", "; ".join(words), rows, Axis("share", partial(percent, digits=0), high=1.0)
    )
    ident = facts.name()
    drawings = drawn(partial(draw_stacks, chart), ident, half=False)
    return Figure(ident, drawings, "Each stage's share of all steps, training FLOPs and time.", _keys([account]))


def _compared(accounts: Sequence[_Account], facts: Facts) -> list[Figure]:
    figures = []
    for key, show in (("flops", compact), ("seconds", duration)):
        known = [account for account in accounts if account.total(key)]
        if not known:
            continue
        rows = []
        for account in known:
            parts = [Part(stage, entry[key] or 0.0, _say(key, entry[key])) for stage, entry in account.stages.items()]
            rows.append((account.cohort.label, parts, _say(key, account.total(key))))
        words = "; ".join(f"{name}: {total}" for name, _, total in rows[:12])
        chart = StackChart(f"{_NAMES[key]} by stage", words, rows, Axis(_NAMES[key], show))
        ident = facts.name()
        drawings = drawn(partial(draw_stacks, chart), ident, half=False)
        caption = "Mean over seeds." if key == "flops" else "Mean over seeds; only comparable on the same idle machine."
        numbers = _table(known) if key == "flops" else None
        figures.append(Figure(ident, drawings, caption, _keys(known), numbers, sentence(chart.title)))
    return figures


def _table(accounts: Sequence[_Account]) -> Table:
    alone = len(accounts) == 1
    rows = []
    for account in accounts:
        for stage, entry in account.stages.items():
            name = Cell(stage) if alone else Cell(account.cohort.label, stage)
            rows.append([name, *cells(*(_say(key, entry[key]) for key in _SHOW))])
        if alone:
            totals = [_say(key, account.total(key)) for key in _SHOW]
            rows.append(cells("all", *totals))
    return Table("By stage", ["Stage" if alone else "Method and stage", "Steps", "Training FLOPs", "Time"], rows)


def _memory(accounts: Sequence[_Account]) -> list[str]:
    known = [found.high for account in accounts if (found := spread(account.cohort, peak_memory)) is not None]
    if not known:
        return ["Peak memory was not measured."]
    words = size(min(known)) if size(min(known)) == size(max(known)) else f"{size(min(known))} to {size(max(known))}"
    return [f"Peak memory: {words} (on a GPU what was allocated there, else the largest size of the process)."]
