"""Movement: weights that training moves away from zero matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_sum


@dataclass(frozen=True)
class Movement:
    """The movement away from zero: the sum of ``-g_k * theta_k`` over the unit's members, signed.

    Positive where a step of gradient descent lengthens the weight, negative where it shrinks it. One step says little:
    average it over many, as a sparsifier does over its window and `score` over batches. Over the
    steps of a training run that is the score of the paper, up to its learning rate. Meant for fine-tuning.

    References:
        Sanh et al. 2020, "Movement pruning: adaptive sparsity by fine-tuning".
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weight", "grad"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Signed movements ``[size]``."""
        return unit_sum(group, lambda name: -element(signals, "grad", name) * element(signals, "weight", name))
