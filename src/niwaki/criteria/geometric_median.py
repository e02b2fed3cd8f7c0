"""The geometric median: a filter that lies amid the others can be spared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.group import Group
from ..core.signals import Signals
from .units import element, members, with_roles

_DISTANCES_AT_ONCE = 2**24
"""So many distances are held at a time (64 MiB in float32)."""


@dataclass(frozen=True)
class GeometricMedian:
    """FPGM: the sum over the group's units ``v`` of ``|theta_u - theta_v|``, Euclidean.

    The unit with the smallest sum is the one closest to the geometric median of all: the others can stand in for it.
    Members of one unit in several tensors make one long vector. Distances between all pairs of units are taken: for
    channels and heads, not for the weights of a large layer. The paper first sets the smallest norms aside; this is
    the rule of distances alone.

    Args:
        roles: which slices of a channel make the vector; by default the producers' rows. Units without roles (single
            weights, blocks) count whole.

    References:
        He et al. 2019, "Filter pruning via geometric median for deep convolutional neural networks acceleration".

    >>> from niwaki.core import Slice
    >>> rows = Group("w", 3, (Slice("w", (3, 2), dim=0, index=torch.tensor([[0], [1], [2]]), role="out"),))
    >>> GeometricMedian()(rows, Signals({"weight": {"w": torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])}}))
    tensor([15., 10., 15.])
    """

    roles: tuple[str, ...] | None = ("out",)
    needs: ClassVar[frozenset[str]] = frozenset({"weight"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Sums of distances ``[size]``."""
        chosen = with_roles(group, self.roles)
        vectors = torch.cat(list(members(chosen, lambda name: element(signals, "weight", name))), 1)
        rows = max(1, _DISTANCES_AT_ONCE // group.size)
        sums = []
        for start in range(0, group.size, rows):
            # By differences: the detour over products would give equal filters a distance.
            some = torch.cdist(vectors[start : start + rows], vectors, compute_mode="donot_use_mm_for_euclid_dist")
            sums.append(some.sum(1))
        return torch.cat(sums)
