"""Drop: a share of the active units leaves, the least important first (prune half of prune-and-regrow)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import check_choice, check_shares
from ..core.contracts import Context, Criterion
from ..core.gates import GateMap, Gates, counts_of, kept_gates
from ..core.group import Group
from .pools import Normalise, Scope, lowest, pooled, split


def _whole(group: Group, count: int) -> int:
    # What leaves, leaves by portions: a group that keeps multiples has one before and after.
    return count - count % group.multiple_of


def _room(group: Group, active: int, min_share: float) -> int:
    if group.pattern is not None:
        return active
    floor = max(group.min_keep, math.ceil(min_share * group.size))
    # A layer without removed units has nothing to swap with, and one with few can swap no more than those.
    return max(0, min(active - floor, group.size - active))


@dataclass(frozen=True)
class Drop:
    r"""Remove ``floor(fraction * active)`` units: those to be swapped (Omega).

    In ``layer`` scope each group gives its own share; in ``global`` scope all groups compete, and a group keeps at
    least ``min_share`` of its units, so that no layer collapses. A group that is wholly active has nothing to swap with
    and is passed over; none gives more units than it has removed ones to regrow. In ``layer`` scope units leave by
    portions of the group's ``multiple_of``.

    Args:
        criterion: what tells the important from the rest.
        fraction: share of the active units, from 0 to 1.
        scope: ``layer`` or ``global``.
        normalise: for ``global`` scope, the scale on which groups compare.
        min_share: the least share of a group that stays, in ``global`` scope.
        grace: spare the units that grew last.
    """

    criterion: Criterion
    fraction: float
    scope: Scope = "layer"
    normalise: Normalise = "none"
    min_share: float = 0.005
    grace: bool = False
    name: ClassVar[str] = "drop"
    explores: ClassVar[bool] = False
    only_removes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check now what would only fail, or be passed over, in the middle of a run."""
        check_choice(Scope, scope=self.scope)
        check_choice(Normalise, normalise=self.normalise)
        check_shares(swap=self.fraction)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with the dropped units removed."""
        scores = {g.name: context.score(self.criterion, g) for g in context.groups}
        among = {
            g.name: context.home[g.name] & ~context.grown[g.name] if self.grace else context.home[g.name]
            for g in context.groups
        }
        share = self.min_share if self.scope == "global" else 0.0
        active = counts_of(context.home)
        left = counts_of(among) if self.grace else active
        room = {g.name: min(_room(g, active[g.name], share), left[g.name]) for g in context.groups}
        swappable = {g.name: active[g.name] for g in context.groups if room[g.name] > 0}
        if self.scope == "layer":
            fair = {name: min(math.floor(self.fraction * count), room[name]) for name, count in swappable.items()}
            out = {
                g.name: lowest(scores[g.name], among[g.name], _whole(g, fair[g.name]))
                for g in context.groups
                if g.name in fair
            }
        else:
            out = self._global(scores, among, room, math.floor(self.fraction * sum(swappable.values())))
        return {
            name: kept_gates(home & ~out[name]) if name in out else kept_gates(home)
            for name, home in context.home.items()
        }

    def _global(
        self, scores: Mapping[str, Tensor], among: Mapping[str, Tensor], room: Mapping[str, int], count: int
    ) -> dict[str, Tensor]:
        # Only the `room` lowest of each group stand for election: the floors hold whatever the ranking says.
        electable = {name: lowest(scores[name], mask, room[name]) for name, mask in among.items()}
        flat = torch.cat(list(electable.values()))
        return split(lowest(pooled(scores, self.normalise), flat, min(count, int(flat.count_nonzero()))), electable)
