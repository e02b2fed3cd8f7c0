"""Magnitude: what is large matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .units import element, unit_norm, unit_sum, with_roles


@dataclass(frozen=True)
class Magnitude:
    """The size of the weights, the norm of ``theta_u``; for a single weight ``|theta|`` whichever the norm.

    The filter norms of the papers look at the filters alone: ``Magnitude(1, roles=("out",))`` is Li et al.,
    ``Magnitude(2, roles=("out",))`` He et al. Wrap it in `Normalised` to compare layers of different scale.

    Args:
        norm: 2 for the Euclidean norm of a unit, 1 for the sum of absolute values.
        roles: which slices of a channel count, such as ``("out",)`` for the producers' rows alone; by default all that
            move together, the consumers' columns, biases and norms too. Single weights and blocks have no roles.

    Raises:
        SignalError: another norm.

    References:
        Han et al. 2015 (weights); Li et al. 2017 (filters, 1-norm); He et al. 2018 (filters, 2-norm).

    >>> from niwaki.core import Slice
    >>> import torch
    >>> rows = Group("w", 2, (Slice("w", (2, 2), tile=(1, 2)),))
    >>> Magnitude()(rows, Signals({"weight": {"w": torch.tensor([[3.0, 4.0], [0.0, -2.0]])}}))
    tensor([5., 2.])
    """

    norm: Literal[1, 2] = 2
    roles: tuple[str, ...] | None = None
    needs: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __post_init__(self) -> None:
        if self.norm not in (1, 2):
            raise SignalError(f"Magnitude knows the norms 1 and 2, not {self.norm!r}")

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Norms ``[size]``."""
        group = with_roles(group, self.roles)
        if self.norm == 1:
            return unit_sum(group, lambda name: element(signals, "weight", name).abs())
        return unit_norm(group, lambda name: element(signals, "weight", name))
