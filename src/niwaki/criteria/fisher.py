"""Diagonal Fisher: how much the loss would rise, from the spread of the samples' gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_sum, with_roles


@dataclass(frozen=True)
class Fisher:
    """The diagonal empirical Fisher form: the sum of ``F_kk * theta_k^2`` over the unit's members.

    ``F_kk`` is the mean over samples of ``g_nk^2``, the squared gradient of one sample's loss. The square of the mean
    gradient is another number, near zero where training has converged. Members of a unit are taken as independent: for
    channels, whose members vanish together, see `GroupFisher`.

    Args:
        roles: which slices of a channel count; by default all.

    References:
        Theis et al. 2018, "Faster gaze prediction with dense networks and Fisher pruning".
    """

    roles: tuple[str, ...] | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"weight", "grad_sq"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""
        chosen = with_roles(group, self.roles)
        return unit_sum(
            chosen, lambda name: element(signals, "grad_sq", name) * element(signals, "weight", name).square()
        )
