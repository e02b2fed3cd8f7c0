"""Optimal brain damage: how much the loss would rise, from the diagonal of its curvature."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_sum


@dataclass(frozen=True)
class BrainDamage:
    """Optimal brain damage (OBD): the sum of ``H_kk * theta_k^2 / 2`` over the unit's members.

    The second-order change of the loss when the unit is removed, for a trained network (no gradient) and a diagonal
    curvature. A negative curvature counts as zero. With the empirical Fisher diagonal it is half of `Fisher`.

    Args:
        curvature: the signal that holds the diagonal. ``grad_sq``, the empirical Fisher, is never negative;
            ``hessian_diag`` is the Hessian itself, estimated. Any signal of your own with that meaning will do.

    References:
        LeCun, Denker and Solla 1990, "Optimal brain damage".
    """

    curvature: str = "grad_sq"

    @property
    def needs(self) -> frozenset[str]:
        """The weights and the curvature."""
        return frozenset({"weight", self.curvature})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""

        def rise(name: str) -> Tensor:
            diagonal = element(signals, self.curvature, name).clamp_min(0)
            return diagonal * element(signals, "weight", name).square() / 2

        return unit_sum(group, rise)
