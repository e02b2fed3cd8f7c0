"""Equal steps and equal training FLOPs: accuracies read off at what all could afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cohorts import Cohort
from .compare import Spread
from .series import curve, value_at


@dataclass(frozen=True)
class Purse:
    """The most that every cohort has spent, and the accuracy of each there (``None``: not measured that early).

    ``unknown`` names the cohorts whose spending is not known and which therefore set no limit.
    """

    budget: float | None
    accuracies: dict[str, Spread | None]
    unknown: tuple[str, ...]


def equal_spending(cohorts: Sequence[Cohort], unit: str) -> Purse:
    """Accuracy at the smallest common budget, on straight lines between evaluations.

    Args:
        cohorts: what is compared.
        unit: what is spent: ``"step"`` or ``"flops"``.

    Returns:
        The budget, which is the smallest that any run has spent at its last evaluation, and what each cohort had there.
    """
    lines = {c.label: [curve(run.evals, unit, "accuracy") for run in c.counted] for c in cohorts}
    known = {label: some for label, some in lines.items() if all(len(line) for line in some)}
    unknown = tuple(label for label in lines if label not in known)
    if not known:
        return Purse(None, {}, unknown)
    budget = min(float(line.x[-1]) for some in known.values() for line in some)
    return Purse(
        budget, {label: _over([value_at(line, budget) for line in some]) for label, some in known.items()}, unknown
    )


def _over(values: Sequence[float | None]) -> Spread | None:
    found = np.array([v for v in values if v is not None], dtype=np.float64)
    if len(found) < len(values):
        return None
    std = float(found.std(ddof=1)) if len(found) > 1 else None
    return Spread(float(found.mean()), float(found.min()), float(found.max()), std, len(found))
