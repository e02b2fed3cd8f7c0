"""Differences seed by seed: runs of one seed begin with the same weights and see the same batches."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from .cohorts import Cohort, seed_of
from .read import Run
from .readable import gap


def differences(one: Cohort, other: Cohort, value: Callable[[Run], float | None]) -> list[float]:
    """How much higher a number is in one cohort than in another, for each seed that both have.

    Args:
        one: runs of the one method.
        other: runs of the other.
        value: reads the number off a run.

    Returns:
        One difference a seed (of the means, where a seed comes more than once); none unless the runs are equally long.
    """
    if one.first.steps != other.first.steps:
        return []
    mine, theirs = _by_seed(one, value), _by_seed(other, value)
    return [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]


def seed_by_seed(below: Cohort, above: Cohort, value: Callable[[Run], float | None]) -> str:
    """How far one cohort is below another, in words.

    Args:
        below: the cohort with the lower mean.
        above: the one with the higher mean.
        value: reads a share off a run.

    Returns:
        Such as ``seed by seed 0.73 ± 0.17 points below``; nothing with fewer than two seeds in common.
    """
    found = differences(above, below, value)
    if len(found) < 2:
        return ""
    mean = statistics.mean(found)
    return f"seed by seed {gap(mean, statistics.stdev(found))} {'below' if mean >= 0 else 'above'}"


def _by_seed(cohort: Cohort, value: Callable[[Run], float | None]) -> dict[int, float]:
    found: dict[int, list[float]] = {}
    for run in cohort.counted:
        if (reached := value(run)) is not None:
            found.setdefault(seed_of(run), []).append(reached)
    return {seed: statistics.mean(values) for seed, values in found.items()}
