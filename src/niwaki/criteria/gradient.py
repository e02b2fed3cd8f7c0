"""Gradient: what the loss wants to move matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_norm


@dataclass(frozen=True)
class Gradient:
    """The size of the gradient, the Euclidean norm of ``g_u``, also where the weight is zero: what RigL grows by.

    References:
        Evci et al. 2020 (growing by gradient).
    """

    needs: ClassVar[frozenset[str]] = frozenset({"grad"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Norms ``[size]``."""
        return unit_norm(group, lambda name: element(signals, "grad", name))
