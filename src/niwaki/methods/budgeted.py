"""What methods that train under a budget of cost share: limits, targets on the way, the knapsack, the criterion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..allocate.cost import Budget, limits_of
from ..allocate.knapsack import Method, knapsack
from ..core.contracts import Criterion
from ..core.costs import Limit
from ..core.gates import counts_of
from ..core.group import Group, check_listed, is_structured
from ..criteria import Magnitude, Taylor
from ..moves.afford import Choose, Fit
from ..moves.timeline import Event


@dataclass(frozen=True)
class Knapsack:
    """`niwaki.knapsack` with its settings, for moves."""

    solver: Method = "exact"
    chunk: int | Mapping[str, int] = 1

    def __call__(
        self,
        groups: Sequence[Group],
        scores: Mapping[str, Tensor],
        *,
        limits: Sequence[Limit],
        among: Mapping[str, Tensor] | None = None,
        base: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name."""
        return knapsack(groups, scores, limits, step=self.chunk, method=self.solver, among=among, base=base)


def usual_criterion(groups: Sequence[Group]) -> Criterion:
    """HALP's for structures, `Magnitude` for weights."""
    return norm_taylor() if is_structured(groups) else Magnitude()


def norm_taylor() -> Taylor:
    """First-order Taylor on the norms of a channel, on its filters where it has none (Shen et al. 2022)."""
    return Taylor(roles=("scale", "shift"), fallback=("out", "bias"))


@dataclass(frozen=True)
class Reachable:
    """Limits that can be met, and the least that the network can cost, one number per limit."""

    limits: tuple[Limit, ...]
    least: tuple[float, ...]


def reachable(groups: Sequence[Group], budget: Budget, choose: Choose) -> Reachable:
    """The limits of a budget, after a look whether they can be met: before the training, not in the midst of it.

    Args:
        groups: the groups.
        budget: one or several.
        choose: what will have to meet them.

    Returns:
        The limits.
    """
    check_listed(groups)
    limits = limits_of(groups, budget)
    # Where every unit does harm, as few stay as may.
    keep = choose(groups, {group.name: -torch.ones(group.size) for group in groups}, limits=limits)
    return Reachable(limits, tuple(limit.cost(counts_of(keep)) for limit in limits))


def eased(limits: Sequence[Limit], share: float) -> tuple[Limit, ...]:
    r"""Limits on the way down from the dense cost: :math:`C^{s} \, C_{dense}^{1 - s}`.

    Args:
        limits: where the way ends.
        share: of the way done, 0 to 1.

    Returns:
        The limits at that point; those that the dense network keeps stay as they are.
    """

    def between(dense: float, most: float) -> float:
        return most if most >= dense else math.exp(share * math.log(most) + (1 - share) * math.log(dense))

    return tuple(Limit(limit.cost, between(limit.cost.dense, limit.most)) for limit in limits)


def cost_descent(
    criterion: Criterion, choose: Choose, limits: Sequence[Limit], at: Sequence[int], *, then: str
) -> list[Event]:
    """HALP's prunings, each to limits lower by the same factor.

    Args:
        criterion: what stays, averaged over the steps since the pruning before.
        choose: picks the units.
        limits: those of the last pruning.
        at: the step before all that, then those of the prunings.
        then: the stage after the last.

    Returns:
        The events.
    """
    count = len(at) - 1
    targets = [tuple(limits) if k == count else eased(limits, k / count) for k in range(1, count + 1)]
    stages = ["prune"] * (count - 1) + [then]
    return [
        Event(step, (Fit(criterion, choose, target),), stage, window=step - before)
        for before, step, target, stage in zip(at, at[1:], targets, stages, strict=False)
    ]
