"""SNIP: how sensitive the loss is to a connection, at initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .taylor import Taylor


@dataclass(frozen=True)
class Snip:
    """Connection sensitivity: ``|dL/dc_u| = |sum of g_k * theta_k|`` for a gate ``c_u = 1`` on the unit.

    For one large batch of a network at its initialisation. A channel's gate lies on the columns that read it. The paper
    divides by the sum over the whole network, a constant that changes no ranking; here it is left out, since a
    criterion sees one group at a time. The same number as first-order Taylor.

    References:
        Lee et al. 2019, "SNIP: single-shot network pruning based on connection sensitivity".
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weight", "grad"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Sensitivities ``[size]``."""
        return Taylor()(group, signals)
