"""LAMP: magnitudes on a scale on which layers compare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.contracts import Criterion, check_criterion
from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from ..core.widest import widest
from .magnitude import Magnitude


@dataclass(frozen=True)
class Lamp:
    """Layer-adaptive magnitude: ``s_u^2`` over the sum of ``s_v^2`` of all units of the group at least as large.

    Rank all groups together by it. Inside a group the order is that of the magnitudes; the largest unit of every group
    scores exactly 1, so no group is emptied before every other is down to one unit. Removed units are zeros: they add
    nothing to the sums and score zero. Of equal units the first counts as the larger, as everywhere. The scores are
    float64, since many differ only in late digits (float32 on devices that have none).

    Args:
        criterion: gives the magnitudes ``s``, none negative; the norms of the units as it stands.

    References:
        Lee et al. 2021, "Layer-adaptive sparsity for the magnitude-based pruning".

    >>> from niwaki.core import Slice
    >>> weights = Group("w", 3, (Slice("w", (3,)),))
    >>> Lamp()(weights, Signals({"weight": {"w": torch.tensor([1.0, -2.0, 0.0])}})).tolist()  # 1 / (1 + 4), 4 / 4, 0
    [0.2, 1.0, 0.0]
    """

    criterion: Criterion = Magnitude()

    def __post_init__(self) -> None:
        check_criterion(self.criterion)

    @property
    def needs(self) -> frozenset[str]:
        """What the criterion needs."""
        return self.criterion.needs

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]`` in [0, 1].

        Args:
            group: the group; a layer, for the layers to compare.
            signals: what the criterion needs.

        Returns:
            Scores in float64.

        Raises:
            SignalError: the criterion gave a negative number.
        """
        sizes = widest(self.criterion(group, signals))
        if bool((sizes < 0).any()):
            raise SignalError(
                f"Lamp needs magnitudes, and {type(self.criterion).__name__} gave group {group.name!r} negative "
                "scores; choose a criterion without sign"
            )
        largest_first, order = torch.sort(sizes.square(), descending=True, stable=True)
        share = largest_first / largest_first.cumsum(0)
        # Zeros after zeros only: a group that is wholly removed has no shares to give.
        return torch.empty_like(sizes).scatter_(0, order, share.nan_to_num(nan=0.0))
