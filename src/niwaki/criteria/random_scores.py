"""Random: chance decides, the control for every other criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group, gather
from ..core.signals import Signals
from .units import element


@dataclass(frozen=True)
class Random:
    """A uniform number in [0, 1) per unit: the one of its first element, so that all units have the same chance."""

    needs: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Numbers ``[size]``."""
        first = group.slices[0]
        return gather(first, element(signals, "noise", first.tensor))[:, 0].clone()
