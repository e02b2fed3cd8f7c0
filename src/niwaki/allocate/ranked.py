"""One ranking over the units of all groups: the allocator, and the one call from scores to the units that stay."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.errors import BudgetError
from ..core.group import Group, check_listed
from ..core.top import top
from ..core.widest import wide, widest
from .budget import asked, check_density, check_scores, least, level, unreachable

Normalise = Literal["none", "l2", "mean", "max", "sum", "zscore"]
Cost = Callable[[Mapping[str, Tensor]], float] | Mapping[str, float]
"""What the kept units cost: a function of ``keep`` that never falls when units come in, or the cost of one unit."""

_ROUNDING = 1e-9  # what a budget made of decimal fractions may be off by


def _scale(row: Tensor, normalise: Normalise) -> tuple[float, float]:
    """Shift and divisor that make the finite scores of a group comparable with those of others."""
    finite = widest(row[~row.isneginf()])
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
        return widest(row) if not row.is_floating_point() else wide(row)
    shift, divisor = _scale(row, normalise)
    return (widest(row) - shift) / divisor


def _by_portion(row: Tensor, portion: int) -> Tensor:
    """Each unit's score replaced by the mean over the portion it would be kept with."""
    order = row.argsort(descending=True, stable=True)
    means = torch.cat([part.mean().expand(part.shape) for part in torch.split(row[order], portion)])
    # Rounding must not lift a later portion above an earlier one.
    return torch.empty_like(row).index_copy_(0, order, means.cummin(0).values)


def _available(group: Group, row: Tensor) -> int:
    if not row.is_floating_point():
        return group.size
    return level(group, group.size - int(row.isneginf().count_nonzero()))


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

    def _check(self, groups: Sequence[Group], scores: Mapping[str, Tensor], count: int | None = None) -> None:
        ends = {g.name: (least(g, self.min_share), _available(g, scores[g.name])) for g in groups}
        for group in groups:
            low, high = ends[group.name]
            if low > high:
                raise BudgetError(
                    f"group {group.name!r} is to keep at least {low} units, but only {high} of {group.size} may be "
                    "kept (the others score -inf); lower min_share or min_keep, or score the removed units"
                )
        reachable = sum(low for low, _ in ends.values()), sum(high for _, high in ends.values())
        if count is not None and not reachable[0] <= count <= reachable[1]:
            raise unreachable(groups, count, ends)

    def _order(self, groups: Sequence[Group], scores: Mapping[str, Tensor]) -> Tensor:
        device = scores[groups[0].name].device
        return torch.cat([self._ranks(g, scores[g.name]).to(device) for g in groups])

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        count = asked(groups, density)
        check_scores(groups, scores)
        self._check(groups, scores, count)
        return _first(groups, scores, self._order(groups, scores), count, level) if groups else {}


def _first(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    ranking: Tensor,
    count: int,
    rounded: Callable[[Group, int], int],
) -> dict[str, Tensor]:
    """The first ``count`` units of a ranking, in each group rounded to a count that it allows."""
    keep = {}
    for group, row in zip(groups, torch.split(top(ranking, count), [g.size for g in groups]), strict=True):
        found = scores[group.name]
        if group.multiple_of > 1:
            keep[group.name] = top(found, rounded(group, int(row.count_nonzero())))
        else:
            keep[group.name] = row.to(found.device, copy=True)
    return keep


def _up(group: Group, count: int) -> int:
    return min(group.size, -(-count // group.multiple_of) * group.multiple_of)


def _summed(groups: Sequence[Group], cost: Mapping[str, float]) -> Callable[[Mapping[str, Tensor]], float]:
    if not isinstance(cost, Mapping):
        raise BudgetError(f"cost={cost!r}: give what a unit costs by group name, or a function of keep")
    for group in groups:
        if not 0 <= cost.get(group.name, -1) < math.inf:
            raise BudgetError(
                f"cost= gives {cost.get(group.name)!r} for group {group.name!r}; give every group the cost of one of "
                "its units, a number that is not negative"
            )
    return lambda keep: math.fsum(cost[name] * int(row.count_nonzero()) for name, row in keep.items())


def _within(
    groups: Sequence[Group], scores: Mapping[str, Tensor], ranking: Tensor, cost: Cost, density: float
) -> dict[str, Tensor]:
    # As many units, in the order of the ranking, as do not cost more than a share of what all cost.
    price = cost if callable(cost) else _summed(groups, cost)
    total = price({g.name: torch.ones(g.size, dtype=torch.bool) for g in groups})
    if not 0 < total < math.inf:
        raise BudgetError(f"all units together cost {total!r}; a share of that means nothing")

    def at(count: int) -> tuple[dict[str, Tensor], float]:
        keep = _first(groups, scores, ranking, count, level)
        return keep, price(keep) / total

    # Those that stay in any case rank at +inf, those that may not stay at -inf.
    low, high = int(ranking.isposinf().count_nonzero()), int((~ranking.isneginf()).count_nonzero())
    (best, least_share), (most, most_share) = at(low), at(high)
    limit = density * (1 + _ROUNDING)
    if least_share > limit:
        raise BudgetError(
            f"a density of {density:.6g} of the cost cannot be met: min_keep, multiple_of and min_share keep at least "
            f"{least_share:.6g} of it; ask for more, or leave groups out"
        )
    if most_share <= limit:
        return most
    while high - low > 1:
        middle = (low + high) // 2
        keep, share = at(middle)
        if share <= limit:
            low, best = middle, keep
        else:
            high = middle
    return best


def ranked(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    *,
    density: float,
    cost: Cost | None = None,
    normalise: Normalise = "none",
    min_share: float = 0.0,
) -> dict[str, Tensor]:
    """The one-call way from scores to the units that stay: the best of all groups in one ranking.

    Without ``cost``, ``round(density * units)`` units stay, exactly. Groups with ``multiple_of`` keep that many or a
    multiple; the last one to get units is rounded up, so that nothing more than asked is lost.

    With ``cost``, the density is a share of what all units cost together, and is never exceeded: the ranking ends at
    the first units (of a group with ``multiple_of``: portion) that no longer fit.

    Either way each group first keeps ``min_keep`` units (rounded up to ``multiple_of``) and ``min_share`` of its
    own, equal scores stand in the order of groups and units, and what stays at one density stays at every higher one.

    Args:
        groups: the groups.
        scores: ``[size]`` per group name, higher = keep; ``-inf`` marks a unit that is not to be kept.
        density: the share that stays, above 0 and at most 1.
        cost: what one unit of each group costs, by group name; or a function of ``keep`` that says what a choice costs,
            such as the parameters or the time of the model that is left, and does not fall when units come in.
        normalise: how scores of different groups are made comparable, as for `Global`.
        min_share: the share of each group that stays in any case.

    Returns:
        Booleans ``[size]`` per group name, ``True`` = kept.

    Raises:
        BudgetError: the density cannot be met, or the costs are no costs.

    >>> groups = [Group("a", 2, ()), Group("b", 3, ())]
    >>> scores = {"a": torch.tensor([0.1, 0.2]), "b": torch.tensor([3.0, 4.0, 5.0])}
    >>> {name: row.int().tolist() for name, row in ranked(groups, scores, density=0.6).items()}
    {'a': [0, 1], 'b': [0, 1, 1]}
    >>> keep = ranked(groups, scores, density=0.5, cost={"a": 1, "b": 10})  # 16 of 32, so one of each group and no more
    >>> {name: row.int().tolist() for name, row in keep.items()}
    {'a': [0, 1], 'b': [0, 0, 1]}
    """
    check_listed(groups)  # before it is asked whether there are any, which a tensor cannot tell
    if not groups:
        raise BudgetError("there are no groups: nothing can be ranked; `groups.left_out` has the reasons")
    ranking = Global(normalise, min_share)
    check_scores(groups, scores)
    if cost is not None:
        ranking._check(groups, scores)
        return _within(groups, scores, ranking._order(groups, scores), cost, check_density(density))
    count = asked(groups, density)
    ranking._check(groups, scores, count)
    return _first(groups, scores, ranking._order(groups, scores), count, _up)
