"""The comparison: what each cohort reached, over its seeds, and what may be claimed from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .cohorts import Cohort, cohorts_of
from .paired import seed_by_seed
from .read import Run, number, read_runs, text
from .readable import listed

# Three seeds or no claim.
ENOUGH_SEEDS = 3


@dataclass(frozen=True)
class Spread:
    """A number over the runs of a cohort: its mean, from the lowest to the highest of ``n``."""

    mean: float
    low: float
    high: float
    std: float | None
    n: int


def spread(cohort: Cohort, value: Callable[[Run], float | None]) -> Spread | None:
    """A number over the runs of a cohort that count.

    Args:
        cohort: the cohort.
        value: reads the number off a run.

    Returns:
        Mean, range and sample standard deviation (of two runs or more); ``None`` unless every run knows the number.
    """
    found = [value(run) for run in cohort.counted]
    values = np.array([v for v in found if v is not None], dtype=np.float64)
    if len(values) < len(found):
        return None
    std = float(values.std(ddof=1)) if len(values) > 1 else None
    return Spread(float(values.mean()), float(values.min()), float(values.max()), std, len(values))


def accuracy(run: Run) -> float | None:
    """The accuracy in the end, or the last one measured."""
    return _at_end(run, "accuracy")


def part(run: Run) -> str | None:
    """The part of the data that `accuracy` was measured on: ``test``, ``valid``, or ``None`` if that was not said.

    A run that tells the part of its evaluations measures its result on the test part.
    """
    if run.result is not None and "part" in run.result:
        return text(run.result, "part")
    seen = text(run.evals[-1], "part", "") if run.evals else ""
    return ("test" if run.is_finished else seen) if seen else None


def density(run: Run) -> float | None:
    """The density reached."""
    reached = number(run.result, "density")
    if reached is None and run.moves:
        reached = number(run.moves[-1], "density")
    return _last(run, "density") if reached is None else reached


def weights_left(run: Run) -> float | None:
    """The share of the weights that is left: that of all parameters, where whole channels went; else the density."""
    kept, total = number(run.result, "weights_kept"), number(run.result, "weights_total")
    return kept / total if kept is not None and total else density(run)


def flops(run: Run) -> float | None:
    """Training FLOPs."""
    return _at_end(run, "flops")


def seconds(run: Run) -> float | None:
    """Wall time."""
    found = _at_end(run, "seconds")
    return number(run.train[-1], "seconds") if found is None and run.train else found


def dense_runs(run: Run) -> float | None:
    """Training FLOPs over those of a dense run of as many steps."""
    return number(run.result, "dense_runs")


def peak_memory(run: Run) -> float | None:
    """The most memory used, in bytes; a 0 says that nobody looked."""
    return number(run.ledger, "peak_memory") or None


def file_bytes(run: Run) -> float | None:
    """How large the delivered model is as a file."""
    return _of_file(run, "bytes")


def dense_bytes(run: Run) -> float | None:
    """How large the dense model is."""
    return _of_file(run, "dense_bytes")


def _of_file(run: Run, key: str) -> float | None:
    found = (run.result or {}).get("file")
    return number(found, key) if isinstance(found, dict) else None


def _at_end(run: Run, key: str) -> float | None:
    return _last(run, key) if run.result is None else number(run.result, key)


def _last(run: Run, key: str) -> float | None:
    values = [value for record in run.evals if (value := number(record, key)) is not None]
    return values[-1] if values else None


@dataclass(frozen=True, eq=False)
class Block:
    """Cohorts that may be compared: one task, one density or budget, with the dense runs of that task beside them."""

    task: tuple[str, str]
    asked: str
    cohorts: tuple[Cohort, ...]
    dense: tuple[Cohort, ...] = ()

    @property
    def density(self) -> float:
        """The density asked for, or the share of the first cost."""
        return self.cohorts[0].density if self.cohorts else 1.0

    @property
    def everyone(self) -> tuple[Cohort, ...]:
        """The dense cohorts first, then the others."""
        return (*self.dense, *self.cohorts)


def blocks_of(cohorts: Sequence[Cohort]) -> tuple[Block, ...]:
    """Put cohorts of one task, and one density or budget, together.

    Args:
        cohorts: the cohorts.

    Returns:
        One block per task and density or budget; a task with dense runs alone has one block without references.
    """
    blocks = []
    for task in dict.fromkeys(c.task for c in cohorts):
        mine = [c for c in cohorts if c.task == task]
        dense = tuple(c for c in mine if c.is_dense)
        asked = dict.fromkeys(c.asked for c in mine if not c.is_dense)
        for words in asked:
            blocks.append(Block(task, words, tuple(c for c in mine if c.asked == words and not c.is_dense), dense))
        if not asked:
            blocks.append(Block(task, "", dense))
    return tuple(blocks)


@dataclass(frozen=True)
class Verdict:
    """What may be said of a cohort: ``mark`` is "best", "highest" or nothing, ``why`` a few words."""

    mark: str = ""
    why: str = ""


def verdicts(block: Block) -> dict[str, Verdict]:
    """Who is best in a block, as far as the seeds allow to say.

    The best has a mean above the others, no seed below the highest seed of another, and three seeds like everyone else.
    Anything less is called highest, with the reason why no more is claimed. Runs that are not finished take no part.

    Args:
        block: what is compared.

    Returns:
        Verdicts by label.
    """
    found = {c.label: spread(c, accuracy) for c in block.cohorts if c.counted[0].is_finished}
    known = {label: s for label, s in found.items() if s is not None}
    if len(known) < 2:
        return {}
    top = max(known, key=lambda label: known[label].mean)
    others = {label: s for label, s in known.items() if label != top}
    near = [label for label, s in others.items() if s.high >= known[top].low]
    steps = {c.first.steps for c in block.cohorts if c.label in known}
    reasons = []
    if near:
        reasons.append(f"overlaps with {listed(near, most=3)}")
    if any(s.n < ENOUGH_SEEDS for s in known.values()):
        reasons.append(f"fewer than {ENOUGH_SEEDS} seeds")
    if len(steps) > 1:
        reasons.append("not all of the same length")
    named = {c.label: c for c in block.cohorts}
    out = {
        label: Verdict("", seed_by_seed(named[label], named[top], accuracy) or "overlaps with the highest")
        for label in near
    }
    out[top] = Verdict("highest", f"{'; '.join(reasons)}: no claim") if reasons else Verdict("best", "no overlap")
    return out


def comparison(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """What each method reached: one row per method, density and settings, over the seeds.

    Args:
        runs: run folders.

    Returns:
        Plain rows for printing or JSON. Shares lie between 0 and 1; ``accuracy`` is the mean, ``accuracy_min`` and
        ``accuracy_max`` the lowest and highest seed, ``accuracy_std`` the sample standard deviation (``None`` for one
        run), ``part`` the part of the data, if known; what is unknown is ``None``. ``runs`` counts those the numbers
        are made of, ``unfinished`` the runs that are not at their end.
    """
    cohorts = cohorts_of(read_runs(runs))
    found = {(block.task, label): v for block in blocks_of(cohorts) for label, v in verdicts(block).items()}
    return [row(cohort, found.get((cohort.task, cohort.label), Verdict())) for cohort in cohorts]


def row(cohort: Cohort, verdict: Verdict) -> dict[str, Any]:
    """One cohort's row of the comparison."""
    acc = spread(cohort, accuracy)
    result = cohort.counted[0].result
    means = {
        name: None if (found := spread(cohort, value)) is None else found.mean
        for name, value in [
            ("density_reached", density),
            ("weights_left", weights_left),
            ("flops", flops),
            ("dense_runs", dense_runs),
            ("seconds", seconds),
            ("peak_memory", peak_memory),
            ("file_bytes", file_bytes),
            ("dense_bytes", dense_bytes),
        ]
    }
    return {
        "label": cohort.label,
        "method": cohort.method,
        "model": cohort.task[0],
        "data": cohort.task[1],
        "density": None if cohort.has_budget else cohort.density,
        "asked": cohort.asked,
        "steps": cohort.first.steps,
        "runs": len(cohort.counted),
        "unfinished": sum(not run.is_finished for run in cohort.runs),
        "seeds": cohort.seeds,
        "accuracy": acc and acc.mean,
        "accuracy_min": acc and acc.low,
        "accuracy_max": acc and acc.high,
        "accuracy_std": acc and acc.std,
        "part": part(cohort.counted[0]),
        **means,
        "weights_kept": number(result, "weights_kept"),
        "weights_total": number(result, "weights_total"),
        "verdict": verdict.mark,
        "why": verdict.why,
    }
