"""SynFlow: keep the weights through which the synapses' strength flows, without any data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_sum


@dataclass(frozen=True)
class SynFlow:
    """Synaptic flow: the sum of ``|theta_k| * dR/d|theta_k|`` over the unit's members.

    ``R`` is the sum of the outputs that an input of ones gives in a network of absolute weights. This is one round.
    Pruning far in one round empties layers: the paper goes in 100 rounds, after round ``k`` keeping the share
    ``density ** (k / 100)`` and scoring the masked network again. A weight that is masked to zero scores zero.
    Scores come in float64: they range further than float32 in deep networks.

    References:
        Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow".
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weight", "flow"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative."""
        return unit_sum(group, lambda name: element(signals, "flow", name) * element(signals, "weight", name).abs())
