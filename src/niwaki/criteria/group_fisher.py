"""Group Fisher: how much the loss would rise if a whole unit vanished for all that read it."""

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

    The sum runs over the columns of all layers that read the unit, sample by sample, before it is squared: activation
    times gradient, summed over positions and over the layers that share the gate, as in the paper. What the members do
    together counts, where `Fisher` takes them as independent. Units without readers (single weights, blocks) are gated
    themselves; for single weights both criteria agree. The paper divides by the memory or FLOPs that a unit saves when
    it ranks all groups together; here that is left to whoever allocates.

    References:
        Liu et al. 2021, "Group Fisher pruning for practical network compression".
    """

    needs: ClassVar[frozenset[str]] = frozenset({"gate_grad_sq"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""
        return of_units(group, signals, "gate_grad_sq").clone()
