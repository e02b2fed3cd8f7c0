"""Prune: down to a density, by any criterion and any allocator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.contracts import Allocator, Context, Criterion, check_allocator
from ..core.gates import GateMap, Gates, counts_of, kept_gates


@dataclass(frozen=True)
class Prune:
    """Keep what the allocator keeps; what is removed already stays removed.

    Args:
        criterion: how much each unit matters.
        allocator: how many stay, and which.
        density: the share of all units that stays.
    """

    criterion: Criterion
    allocator: Allocator
    density: float
    name: ClassVar[str] = "prune"
    explores: ClassVar[bool] = False
    only_removes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check now what would only fail in the middle of a run."""
        check_allocator(self.allocator)

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The one criterion."""
        return (self.criterion,)

    def _within(self, context: Context) -> float:
        # Groups that keep multiples of units may have kept fewer than asked before, and what is gone stays gone.
        left = sum(counts_of(context.home).values())
        size = sum(group.size for group in context.groups)
        portions = sum(group.multiple_of - 1 for group in context.groups)
        return min(self.density, left / size) if round(self.density * size) <= left + portions else self.density

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The gates with only the kept units active."""
        scores = {
            g.name: context.score(self.criterion, g).masked_fill(~context.home[g.name], -torch.inf)
            for g in context.groups
        }
        keep = self.allocator(context.groups, scores, self._within(context))
        return {name: kept_gates(kept & context.home[name]) for name, kept in keep.items()}
