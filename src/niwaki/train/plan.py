"""The plan of a method: where it starts, what happens when, and what weights hold on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..core.checks import check_counts, check_positive
from ..moves.timeline import Timeline
from .values import Values


@dataclass(frozen=True, eq=False)
class Plan:
    """What a method is made of, for a `Sparsifier` to carry out.

    Args:
        keep: the first structure: booleans per group name.
        timeline: the moves.
        values: what weights hold when they leave, explore and come back.
        freeze: whether, during an exploration, everything else stands still too: biases, norms, unpruned layers,
            running statistics.
        steps: how long the run is to be, for messages and reports.
        explore_rate: the learning rate during an exploration, as a multiple of the loop's own.
        train_cross_slices: whether a weight that belongs to an active unit and to a removed one (a kept filter on a
            removed input) learns while exploring. Without it, only weights all of whose units are removed learn.
        straight_through_decay: added to the gradient of a straight-through weight, times its hidden value, while it
            is masked.
        materialise: whether the model is really smaller, with its optimizer state, for as long as nothing explores.
    """

    keep: Mapping[str, Tensor]
    timeline: Timeline = field(default_factory=Timeline)
    values: Values = field(default_factory=Values)
    freeze: bool = True
    steps: int = 0
    explore_rate: float = 1.0
    train_cross_slices: bool = True
    straight_through_decay: float = 0.0
    materialise: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_counts(steps=(self.steps, 0))
        check_positive(explore_rate=self.explore_rate)
