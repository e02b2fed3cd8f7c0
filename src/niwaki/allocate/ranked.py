"""The allocator that ranks the units of all groups together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.errors import BudgetError
from ..core.group import Group
from ..core.top import top
from .budget import asked, check_scores, least, level, unreachable

Normalise = Literal["none", "l2", "mean", "max", "sum", "zscore"]


def _scale(row: Tensor, normalise: Normalise) -> tuple[float, float]:
    """Shift and divisor that make the finite scores of a group comparable with those of others."""
    finite = row[~row.isneginf()].double()
    if normalise == "none" or not finite.numel():
        return 0.0, 1.0
    shift = 0.0
    match normalise:
        case "l2":
            divisor = float(torch.linalg.vector_norm(finite))
        case "mean":
            divisor = float(finite.abs().mean())
        case "max":
            divisor = float(finite.abs().max())
        case "sum":
            divisor = float(finite.abs().sum())
        case "zscore":
            shift, divisor = float(finite.mean()), float(finite.std(correction=0))
    return shift, divisor if divisor > 0 else 1.0


def _comparable(row: Tensor, normalise: Normalise) -> Tensor:
    if normalise == "none":
        # Neither whole numbers nor halves may fall together when they meet the scores of other groups.
        return row.double() if not row.is_floating_point() else row.to(torch.promote_types(row.dtype, torch.float32))
    shift, divisor = _scale(row, normalise)
    return (row.double() - shift) / divisor


def _by_portion(row: Tensor, portion: int) -> Tensor:
    """Each unit's score replaced by the mean over the portion it would be kept with."""
    order = row.argsort(descending=True, stable=True)
    means = torch.cat([part.mean().expand(part.shape) for part in torch.split(row[order], portion)])
    # Rounding must not lift a later portion above an earlier one.
    return torch.empty_like(row).index_copy_(0, order, means.cummin(0).values)


def _available(group: Group, row: Tensor) -> int:
    if not row.is_floating_point():
        return group.size
    return level(group, group.size - int(row.isneginf().sum()))


@dataclass(frozen=True)
class Global:
    """All units in one ranking, so that the shares of the groups follow from the scores.

    Each group first keeps its best ``max(min_keep, min_share * size)`` units, so that no layer dies out; the places
    left go to the best of all other units, equal scores in the order of the groups and of the units within. The kept
    units grow with the density (they nest). Units that score ``-inf`` are never kept. A group with ``multiple_of``
    takes part by portions, each at the mean score of its units; the portion that no longer fits ends the ranking, so
    that such groups may keep fewer units than asked, by less than one portion.

    LAMP is this allocator over the scores of the criterion of that name.

    Args:
        normalise: what the scores of a group are divided by before they meet those of the others: ``"none"``, their
            ``"l2"`` norm, the ``"mean"``, ``"max"`` or ``"sum"`` of their absolute values; ``"zscore"`` subtracts the
            mean and divides by the standard deviation.
        min_share: the share of each group that stays in any case.

    >>> groups = [Group("a", 2, ()), Group("b", 3, ())]
    >>> scores = {"a": torch.tensor([0.1, 0.2]), "b": torch.tensor([3.0, 4.0, 5.0])}
    >>> {name: keep.tolist() for name, keep in Global()(groups, scores, 0.6).items()}
    {'a': [False, True], 'b': [False, True, True]}
    """

    normalise: Normalise = "none"
    min_share: float = 0.0

    def __post_init__(self) -> None:
        if self.normalise not in get_args(Normalise):
            raise BudgetError(f"normalise={self.normalise!r} is unknown; choose from {', '.join(get_args(Normalise))}")
        if not 0 <= self.min_share <= 1:
            raise BudgetError(f"min_share={self.min_share!r} is outside [0, 1]; it is the least share of every group")

    def _ranks(self, group: Group, row: Tensor) -> Tensor:
        values = _comparable(row, self.normalise)
        if group.multiple_of > 1:
            values = _by_portion(values, group.multiple_of)
        floor = top(row, least(group, self.min_share))
        return values.masked_fill(floor, math.inf)

    def _check(self, groups: Sequence[Group], scores: Mapping[str, Tensor], count: int) -> None:
        ends = {g.name: (least(g, self.min_share), _available(g, scores[g.name])) for g in groups}
        for group in groups:
            low, high = ends[group.name]
            if low > high:
                raise BudgetError(
                    f"group {group.name!r} is to keep at least {low} units, but only {high} of {group.size} may be "
                    "kept (the others score -inf); lower min_share or min_keep, or score the removed units"
                )
        if not sum(low for low, _ in ends.values()) <= count <= sum(high for _, high in ends.values()):
            raise unreachable(groups, count, ends)

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        count = asked(groups, density)
        check_scores(groups, scores)
        self._check(groups, scores, count)
        if not groups:
            return {}
        device = scores[groups[0].name].device
        ranking = torch.cat([self._ranks(g, scores[g.name]).to(device) for g in groups])
        best = torch.split(top(ranking, count), [g.size for g in groups])
        keep = {}
        for group, row in zip(groups, best, strict=True):
            found = scores[group.name]
            if group.multiple_of > 1:
                keep[group.name] = top(found, level(group, int(row.sum())))
            else:
                keep[group.name] = row.to(found.device, copy=True)
        return keep
