"""Grow: the most promising of the removed units come back, as many as were dropped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.checks import check_choice
from ..core.contracts import Context, Criterion
from ..core.gates import GateMap, Gates, counts_of, kept_gates
from ..core.group import Group
from ..core.top import top_of_each
from .pools import Normalise, Scope, highest, pooled, split


def _filled(group: Group, scores: Tensor, home: Tensor) -> Tensor:
    assert group.pattern is not None
    # Active units stand first in every tile, then the best of the others: each tile ends with exactly n.
    return top_of_each(scores.masked_fill(home, torch.inf), group.pattern.n, group.pattern.m) & ~home


@dataclass(frozen=True)
class Grow:
    """Bring units back until each group (or all together) has as many as when the cycle began.

    Groups with a pattern fill every tile up to ``n`` of ``m``, whatever the scope.

    Args:
        criterion: what tells which units promise most.
        scope: in ``layer`` scope each group gets back what it gave; in ``global`` scope all compete for the sum.
        normalise: for ``global`` scope, the scale on which groups compare.
    """

    criterion: Criterion
    scope: Scope = "layer"
    normalise: Normalise = "none"
    name: ClassVar[str] = "grow"
    explores: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Check the names."""
        check_choice(Scope, scope=self.scope)
        check_choice(Normalise, normalise=self.normalise)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with the grown units active, and nothing else but the structure that was there."""
        scores = {g.name: context.score(self.criterion, g) for g in context.groups}
        grown = {g.name: _filled(g, scores[g.name], context.home[g.name]) for g in context.groups if g.pattern}
        free = {g.name: ~context.home[g.name] for g in context.groups if g.pattern is None}
        before, now = counts_of(context.cycle), counts_of(context.home)
        missing = {name: before[name] - now[name] for name in free}
        if self.scope == "layer":
            grown |= {
                name: highest(scores[name], among, max(0, min(missing[name], int(among.count_nonzero()))))
                for name, among in free.items()
            }
        elif free:
            flat = torch.cat(list(free.values()))
            count = max(0, min(sum(missing.values()), int(flat.count_nonzero())))
            pool = pooled({name: scores[name] for name in free}, self.normalise)
            grown |= split(highest(pool, flat, count), free)
        return {name: kept_gates(home | grown[name]) for name, home in context.home.items()}
