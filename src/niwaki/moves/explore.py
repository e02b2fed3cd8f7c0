"""Explore: the removed units act and learn for a while, the active ones stand still."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.contracts import Context, Criterion
from ..core.gates import GateMap, Gates


@dataclass(frozen=True)
class Explore:
    """Reactivate everything that was removed; freeze what is active (Sun et al. 2025, stage 4).

    Args:
        freeze: whether the active units stand still; the paper's ablation lets them learn along.
    """

    freeze: bool = True
    name: ClassVar[str] = "explore"
    explores: ClassVar[bool] = True
    criteria: ClassVar[tuple[Criterion, ...]] = ()

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """Everything acts; the removed units (and with ``freeze=False`` all) learn."""
        return {
            name: Gates(forward=torch.ones_like(home), train=~home if self.freeze else torch.ones_like(home))
            for name, home in context.home.items()
        }
