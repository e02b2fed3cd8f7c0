"""The scale of the norm behind a channel: what a norm turns down does not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .units import element, members, with_roles


@dataclass(frozen=True)
class NormScale:
    """The mean of ``|gamma_c|`` over the norms that scale the unit: batch-norm scale, or of any norm with a weight.

    Says something where training pushed the scales apart: the paper trains with an L1 penalty on them. Comparable
    between layers as it stands, for one threshold over the network. A unit with several norms (the branches of a
    residual stream) has the mean, so that it does not count for more by their number.

    Args:
        role: ``scale`` for a norm's weight, ``shift`` for its bias.

    Raises:
        SignalError: another role.

    References:
        Liu et al. 2017, "Learning efficient convolutional networks through network slimming".

    >>> from niwaki.core import Slice
    >>> channels = Group("c", 2, (Slice("bn", (2,), dim=0, index=torch.tensor([[0], [1]]), role="scale"),))
    >>> NormScale()(channels, Signals({"weight": {"bn": torch.tensor([0.5, -2.0])}}))
    tensor([0.5000, 2.0000])
    """

    role: Literal["scale", "shift"] = "scale"
    needs: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __post_init__(self) -> None:
        if self.role not in ("scale", "shift"):
            raise SignalError(f"NormScale knows the roles 'scale' and 'shift', not {self.role!r}")

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]``, none negative; a group without a norm is an error."""
        norms = with_roles(group, (self.role,), strict=True)
        return torch.cat(list(members(norms, lambda name: element(signals, "weight", name).abs())), 1).mean(1)
