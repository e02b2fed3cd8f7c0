"""Moves under limits of cost: fit units into them, refill what is left, rewire softly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from ..core.contracts import Context, Criterion
from ..core.costs import Limit
from ..core.errors import BudgetError
from ..core.gates import GateMap, Gates, counts_of, kept_gates
from ..core.group import Group

_ROUNDING = 1e-9  # what sums of the same costs in another order may be off by


class Choose(Protocol):
    """Which units stay within limits: a knapsack, most often."""

    def __call__(
        self,
        groups: Sequence[Group],
        scores: Mapping[str, Tensor],
        *,
        limits: Sequence[Limit],
        among: Mapping[str, Tensor] | None = None,
        base: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name; of ``among`` only if given, and all of ``base`` if given."""
        ...


def check_limits(limits: Sequence[Limit], keep: Mapping[str, Tensor], move: str) -> None:
    """Check, on the exact costs, that a structure fits.

    Args:
        limits: what may be spent.
        keep: the kept units by group name.
        move: who chose them, for the message.

    Raises:
        BudgetError: a limit is exceeded.
    """
    counts = counts_of(keep)
    for limit in limits:
        cost = limit.cost(counts)
        if cost > limit.most * (1 + _ROUNDING):
            raise BudgetError(
                f"{move}: the chosen units cost {cost:.6g} {limit.cost.unit}, and {limit.most:.6g} is the limit; "
                "choose=, which picked them, does not keep to its limits"
            )


def _scores(context: Context, criterion: Criterion) -> dict[str, Tensor]:
    return {group.name: context.score(criterion, group) for group in context.groups}


def _fitted(
    context: Context, criterion: Criterion, choose: Choose, limits: Sequence[Limit], move: str
) -> dict[str, Gates]:
    home = context.home
    keep = choose(context.groups, _scores(context, criterion), limits=limits, among=home)
    kept = {name: keep[name].to(mask.device) & mask for name, mask in home.items()}
    check_limits(limits, kept, move)
    return {name: kept_gates(mask) for name, mask in kept.items()}


@dataclass(frozen=True)
class Fit:
    """Of the active units keep what fits the limits best; what is removed already stays removed.

    Args:
        criterion: how much each unit matters.
        choose: picks the units.
        limits: what they may cost.
    """

    criterion: Criterion
    choose: Choose
    limits: tuple[Limit, ...]
    name: ClassVar[str] = "prune"
    explores: ClassVar[bool] = False
    only_removes: ClassVar[bool] = True

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with only the chosen units active."""
        return _fitted(context, self.criterion, self.choose, self.limits, self.name)


@dataclass(frozen=True)
class Shed:
    """Units leave until the network costs less than now by a share: room for others to grow into.

    The limits are ``max(least, (1 - share) min(most, cost now))``: from the cost now, since widths move in steps, and a
    share below the limit alone might be no way down.

    Args:
        criterion: how much each unit matters.
        choose: picks the units that stay.
        limits: what the network may cost when it has grown again.
        share: how much cheaper it becomes, in [0, 1).
        least: what it costs at the least, one number per limit.
    """

    criterion: Criterion
    choose: Choose
    limits: tuple[Limit, ...]
    share: float
    least: tuple[float, ...]
    name: ClassVar[str] = "drop"
    explores: ClassVar[bool] = False
    only_removes: ClassVar[bool] = True

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with only the units active that fit the lower limits."""
        counts = counts_of(context.home)
        lower = tuple(
            Limit(limit.cost, max(least, (1 - self.share) * min(limit.most, limit.cost(counts))))
            for limit, least in zip(self.limits, self.least, strict=True)
        )
        return _fitted(context, self.criterion, self.choose, lower, self.name)


@dataclass(frozen=True)
class Refill:
    """Bring back the most promising of the removed units, as far as the limits allow; nothing leaves.

    Args:
        criterion: what tells which units promise most.
        choose: picks the units.
        limits: what active and grown units may cost together.
    """

    criterion: Criterion
    choose: Choose
    limits: tuple[Limit, ...]
    name: ClassVar[str] = "grow"
    explores: ClassVar[bool] = False

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with the grown units active beside those that were."""
        home = context.home
        keep = self.choose(context.groups, _scores(context, self.criterion), limits=self.limits, base=home)
        kept = {name: keep[name].to(mask.device) | mask for name, mask in home.items()}
        check_limits(self.limits, kept, self.name)
        return {name: kept_gates(mask) for name, mask in kept.items()}


@dataclass(frozen=True)
class Rewire:
    """Choose anew among all units, the removed ones too; these go on learning behind their mask (straight-through).

    Args:
        criterion: how much each unit matters.
        choose: picks the units.
        limits: what they may cost.
        soft: whether removed units go on learning; ``False`` ends that.
    """

    criterion: Criterion
    choose: Choose
    limits: tuple[Limit, ...]
    soft: bool = True
    name: ClassVar[str] = "rewire"
    explores: ClassVar[bool] = False

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """Chosen units act; all learn, or, with ``soft=False``, the chosen ones alone."""
        home = context.home
        keep = self.choose(context.groups, _scores(context, self.criterion), limits=self.limits)
        kept = {name: keep[name].to(mask.device) for name, mask in home.items()}
        check_limits(self.limits, kept, self.name)
        if not self.soft:
            return {name: kept_gates(mask) for name, mask in kept.items()}
        return {name: Gates(forward=mask, train=torch.ones_like(mask)) for name, mask in kept.items()}
