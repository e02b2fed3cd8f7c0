"""Group Fisher: how much the loss would rise if all members of a unit vanished together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import of_units


@dataclass(frozen=True)
class GroupFisher:
    """The empirical Fisher of a unit's gate: ``mean over samples n of (sum of g_nk * theta_k)^2``.

    The sum runs over the members of the unit in all tensors that it lies in, sample by sample, before it is squared:
    what the members do together counts, where `Fisher` takes them as independent. For single weights both agree. The
    paper gates the outputs of layers, which is the same derivative, and divides by the memory or FLOPs that a unit
    saves when it ranks all groups together; here that is left to whoever allocates.

    References:
        Liu et al. 2021, "Group Fisher pruning for practical network compression".
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gate_grad_sq"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""
        return of_units(group, signals, "gate_grad_sq").clone()
