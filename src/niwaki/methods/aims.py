"""What a cycle of dropping and growing holds on to: a density, or a budget of cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from torch import Tensor, nn

from ..allocate import check_density
from ..allocate.cost import Budget
from ..core.contracts import Allocator, Criterion, Move, Probe
from ..core.errors import BudgetError, TrainError
from ..core.group import Group, check_listed
from ..moves.afford import Choose, Refill, Shed
from ..moves.drop import Drop
from ..moves.grow import Grow
from ..moves.pools import Normalise, Scope
from ..moves.timeline import Event
from .budgeted import Knapsack, Reachable, cost_descent, reachable
from .start import descent, first_keep, first_scores


@dataclass(frozen=True)
class Ranking:
    """How units of different groups compare where a density is held: the arguments of `Drop`."""

    scope: Scope
    normalise: Normalise
    grace: bool


class Aim(Protocol):
    """What is the same after every cycle."""

    @property
    def share(self) -> float:
        """The share that is swapped in the first cycle, if nobody says."""
        ...

    @property
    def end(self) -> float:
        """The share of the run after which it stands, if nobody says."""
        ...

    def reach(self, steps: int) -> int:
        """Over how many steps a run of this length comes down to it, if nobody says."""
        ...

    def first(self, model: nn.Module, init: Criterion | None, seed: int, probe: Probe | None) -> dict[str, Tensor]:
        """The first structure, for a run that starts there."""
        ...

    def descent(self, criterion: Criterion, begin: int, steps: int) -> list[Event]:
        """The prunings of a run that comes down to it over so many steps."""
        ...

    def drop(self, criterion: Criterion, share: float) -> Move:
        """The move that takes a share away."""
        ...

    def grow(self, criterion: Criterion) -> Move:
        """The move that brings as much back."""
        ...


@dataclass(frozen=True)
class DensityAim:
    """A share of the units."""

    groups: Sequence[Group]
    density: float
    allocator: Allocator | None
    ranking: Ranking
    share: float = 0.3
    end: float = 0.75

    def reach(self, steps: int) -> int:
        """At once."""
        return 0

    def first(self, model: nn.Module, init: Criterion | None, seed: int, probe: Probe | None) -> dict[str, Tensor]:
        """What the criterion ranks highest, at random without one."""
        return first_keep(model, self.groups, self.density, allocator=self.allocator, init=init, seed=seed, probe=probe)

    def descent(self, criterion: Criterion, begin: int, steps: int) -> list[Event]:
        """By equal factors, in 30 prunings at most."""
        events = descent(self.groups, steps, self.density, criterion, self.allocator)
        return [replace(event, step=begin + event.step) for event in events]

    def drop(self, criterion: Criterion, share: float) -> Move:
        """A share of the active units leaves."""
        rank = self.ranking
        return Drop(criterion, share, rank.scope, rank.normalise, grace=rank.grace)

    def grow(self, criterion: Criterion) -> Move:
        """Until every group (or all together) has its count again."""
        return Grow(criterion, self.ranking.scope, self.ranking.normalise)


@dataclass(frozen=True)
class CostAim:
    """The most that a network may cost."""

    groups: Sequence[Group]
    within: Reachable
    choose: Choose
    share: float = 0.05
    end: float = 0.4

    def reach(self, steps: int) -> int:
        """Over an eighth of the run."""
        return steps // 8

    def first(self, model: nn.Module, init: Criterion | None, seed: int, probe: Probe | None) -> dict[str, Tensor]:
        """What fits best by the criterion, at random without one."""
        scores = first_scores(model, self.groups, init=init, seed=seed, probe=probe)
        return self.choose(self.groups, scores, limits=self.within.limits)

    def descent(self, criterion: Criterion, begin: int, steps: int) -> list[Event]:
        """By equal factors, in 30 prunings at most."""
        count = max(1, min(30, steps))
        at = [begin + round(k * steps / count) for k in range(count + 1)]
        return cost_descent(criterion, self.choose, self.within.limits, at, then="estimate")

    def drop(self, criterion: Criterion, share: float) -> Move:
        """Units leave until the network costs less than now by the share, or as little as it can."""
        return Shed(criterion, self.choose, self.within.limits, share, self.within.least)

    def grow(self, criterion: Criterion) -> Move:
        """Units come back as far as the budget goes."""
        return Refill(criterion, self.choose, self.within.limits)


def check_aim(density: float | None, budget: Budget | None) -> None:
    """Check that exactly one of a density and a budget is given.

    Args:
        density: the share of the units that stays, or none.
        budget: what the network may cost, or none.

    Raises:
        BudgetError: both are given, or neither.
    """
    if (density is None) == (budget is None):
        raise BudgetError(
            "give either density=, the share of the units that stays, or budget=, what the network may cost, such as "
            f"Latency(0.5, table); {'both' if budget is not None else 'neither'} came"
        )


def aim_of(
    groups: Sequence[Group],
    density: float | None,
    budget: Budget | None,
    allocator: Allocator | Choose | None,
    ranking: Ranking,
) -> Aim:
    """Exactly one of a density and a budget.

    Args:
        groups: the groups.
        density: the share of the units that is active, or none.
        budget: what the network may cost, or none.
        allocator: for a density, how many units each group has; for a budget, what picks the units.
        ranking: how groups compare under a density.

    Returns:
        The aim.

    Raises:
        TrainError: a switch that does not go with the aim, or units that come in multiples ranked globally.
    """
    check_listed(groups)
    check_aim(density, budget)
    if budget is None:
        odd = [group.name for group in groups if group.multiple_of > 1]
        if odd and ranking.scope == "global":
            raise TrainError(
                f"group {odd[0]!r} keeps multiples of units, which a global ranking does not: scope='layer' or budget="
            )
        return DensityAim(groups, check_density(density), allocator, ranking)  # type: ignore[arg-type]
    if ranking.grace:
        raise TrainError("grace=True spares units from a ranking; a budget has none: leave it out")
    choose: Choose = allocator or Knapsack()  # type: ignore[assignment]
    return CostAim(groups, reachable(groups, budget, choose), choose)
