"""H-infinity: the largest gain of a state over all frequencies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .modes import gains_of


@dataclass(frozen=True)
class HInfinity:
    r"""The squared H-infinity norm of a state's system, :math:`(|C_i| |B_i| / (1 - |\lambda_i|))^2`.

    A state by itself is the rank-one system :math:`C_i B_i / (z - \lambda_i)` with the discrete pole and B; its gain is
    largest at the pole's own frequency, where the formula holds with equality. No data and no gradient are looked at.
    Units of several modes add their scores. In a bidirectional layer :math:`|C_i|` is the mean of both directions.

    Training may bring a pole so near to the unit circle that its gain, taken over endless time, dwarfs all others of
    its layer. As in the authors' code ``eps`` is added to :math:`(1 - |\lambda_i|)^2`. On sequences of ``T`` steps no
    state can resound for longer: ``eps=1 / T**2`` says so, and is worth setting where ``T`` is some hundreds or less.

    Within a layer the score ranks states; between layers it depends on how they are scaled. `TailShare` makes layers
    comparable, and ``TailShare(HInfinity())`` ranked over all layers is LAST.

    Args:
        continuous: score the continuous system, :math:`|C_i| |B_i| / |Re \lambda_i|`; the same for small steps.
        eps: added below; 0 gives the norm itself.
        reference: what the authors' code evaluates for bidirectional layers: the factor of C is a quarter of the sum of
            both norms, not squared.

    References:
        Gwak et al. 2024, "Layer-adaptive state pruning for deep state space models".

    >>> import torch
    >>> from niwaki.core import DiagonalSystem, Dynamics, Slice
    >>> system = DiagonalSystem(*(torch.tensor(v, dtype=torch.float64) for v in (
    ...     [[0.5], [0.75]], [[1.0], [1.0]], [[[3.0]], [[1.0]]], [[[[1.0]], [[2.0]]]])), scheme="discrete")
    >>> group = Group("ssm", 2, (Slice("C", (1, 2)),), kind="state", dynamics=Dynamics((), lambda of: system))
    >>> HInfinity(eps=0)(group, Signals()).tolist()  # (1 * 3 / 0.5)^2 and (2 * 1 / 0.25)^2
    [36.0, 64.0]
    """

    continuous: bool = False
    eps: float = 1e-8
    reference: bool = False
    needs: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]`` in float64."""
        gains = gains_of(group, signals, continuous=self.continuous)
        outputs = gains.outputs.mean(0)
        read = outputs / 2 if self.reference and len(gains.outputs) > 1 else outputs.square()
        return (read * gains.inputs.square() / (gains.distance.square() + self.eps)).sum(1)
