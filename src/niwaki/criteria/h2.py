"""H2: the energy of a state's impulse response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .modes import gains_of


@dataclass(frozen=True)
class H2:
    r"""The squared H2 norm of a state's system, :math:`|C_i|^2 |B_i|^2 / (1 - |\lambda_i|^2)`.

    It is the sum over time of the squared impulse response :math:`C_i \lambda_i^t B_i`. Beside `HInfinity` it favours
    states that are read and driven strongly over those that resound for long. Units of several modes add their scores,
    both directions of a bidirectional layer count by the mean of their norms.

    References:
        The score of AIRE-Prune, 2026, which ranks with it as `TailShare` and LAST do with `HInfinity`.

    >>> import torch
    >>> from niwaki.core import DiagonalSystem, Dynamics, Slice
    >>> one = torch.ones(1, 1, dtype=torch.float64)
    >>> system = DiagonalSystem(0.5 * one, one, 3 * one[None], one[None, None], scheme="discrete")
    >>> group = Group("ssm", 1, (Slice("C", (1, 1)),), kind="state", dynamics=Dynamics((), lambda of: system))
    >>> H2()(group, Signals()).tolist()  # 9 + 9 / 4 + 9 / 16 + ... = 9 / (1 - 1 / 4)
    [12.0]
    """

    needs: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]`` in float64."""
        gains = gains_of(group, signals)
        # 1 - |pole|^2 = (1 - |pole|) (1 + |pole|), of which the first factor is known to all its digits.
        below = gains.distance * (2 - gains.distance)
        return (gains.outputs.mean(0).square() * gains.inputs.square() / below).sum(1)
