"""The counts that one group may keep, and what the best so many units are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import BudgetError
from ..core.group import Group
from .budget import least, level, score_of

Whole = NDArray[np.int64]
Real = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Ladder:
    """The counts one group may keep.

    Args:
        group: the group.
        counts: rising, ``[m]``.
        values: what the best so many units are worth together, ``[m]``.
        best: the units that may come in, best first; of equal ones the lower index.
        base: the units that stay in any case.
    """

    group: Group
    counts: Whole
    values: Real
    best: Whole
    base: Tensor

    def keep(self, count: int) -> Tensor:
        """Booleans ``[size]``: the base and the best of the rest, so many in all."""
        kept = self.base.clone()
        added = count - int(kept.count_nonzero())
        kept[torch.from_numpy(self.best[:added]).to(kept.device)] = True
        return kept


def _given(group: Group, masks: Mapping[str, Tensor] | None, what: str) -> Tensor | None:
    if masks is None:
        return None
    found = masks.get(group.name)
    if found is None or tuple(found.shape) != (group.size,) or found.dtype != torch.bool:
        seen = "nothing" if found is None else f"{found.dtype} of shape {tuple(found.shape)}"
        raise BudgetError(f"{what}= gives {seen} for group {group.name!r}; give booleans of shape ({group.size},)")
    return found


def _counts(group: Group, kept: int, high: int, step: int) -> list[int]:
    """The counts between what is kept and what there is that the group and the step allow."""
    portion = math.lcm(group.multiple_of, step)
    low = max(least(group), kept)
    allowed = [n for n in range(-(-low // portion) * portion, high + 1, portion)]
    # What is kept already needs no filling up, all units are all, and fewer than a step are one step.
    ends = {n for n in (kept, group.size) if low <= n <= high and level(group, n) == n}
    found = sorted({*allowed, *ends})
    return found or [n for n in (level(group, high),) if n >= low]


def ladder_of(
    group: Group, scores: Mapping[str, Tensor], step: int, among: Tensor | None, base: Tensor | None
) -> Ladder:
    """The counts one group may keep.

    Args:
        group: the group.
        scores: by group name.
        step: counts are multiples of it, where the group has so many units.
        among: which units may stay; all, if not given.
        base: which units stay in any case.

    Returns:
        The ladder.

    Raises:
        BudgetError: no count is allowed.
    """
    row = score_of(group, scores)
    stays = torch.zeros(group.size, dtype=torch.bool, device=row.device) if base is None else base.to(row.device)
    worth = row.detach().cpu().double().numpy()
    may = ~stays.cpu().numpy() & (worth > -math.inf)
    if among is not None:
        may &= among.cpu().numpy()
    units = np.flatnonzero(may)
    best = units[np.argsort(-worth[units], kind="stable")]
    kept = int(stays.count_nonzero())
    counts = np.array(_counts(group, kept, kept + len(best), step), dtype=np.int64)
    if not len(counts):
        raise BudgetError(
            f"group {group.name!r} is to keep at least {max(least(group), kept)} units, in multiples of "
            f"{group.multiple_of}, but only {kept + len(best)} of {group.size} may be kept (the others score -inf or "
            "are not in among=); lower min_keep, or let more units in"
        )
    values = np.concatenate([[0.0], np.cumsum(worth[best])])
    return Ladder(group, counts, values[counts - kept], best, stays)


def ladders_of(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    step: int | Mapping[str, int],
    among: Mapping[str, Tensor] | None,
    base: Mapping[str, Tensor] | None,
) -> list[Ladder]:
    """The ladder of every group.

    Args:
        groups: the groups.
        scores: by group name.
        step: counts are multiples of it, one for all groups or by name.
        among: which units may stay, by group name; all, if not given.
        base: which units stay in any case, by group name.

    Returns:
        The ladders, in the order of the groups.

    Raises:
        BudgetError: a group of N:M, no step, one of a group that is not there, or a group without a count allowed.
    """
    found = []
    unknown = set(step) - {group.name for group in groups} if isinstance(step, Mapping) else set()
    if unknown:
        there = ", ".join([repr(group.name) for group in groups][:8])
        raise BudgetError(f"a step for the group {min(unknown)!r}, which is not there; groups: {there}")
    for group in groups:
        if group.pattern is not None:
            raise BudgetError(
                f"group {group.name!r} keeps {group.pattern.n} of every {group.pattern.m} units, so that there is "
                "nothing to choose; leave it out"
            )
        own = step.get(group.name, 1) if isinstance(step, Mapping) else step
        if not isinstance(own, int) or own < 1:
            raise BudgetError(f"a step of {own!r} units for group {group.name!r}; give a whole number, 1 or more")
        found.append(ladder_of(group, scores, own, _given(group, among, "among"), _given(group, base, "base")))
    return found
