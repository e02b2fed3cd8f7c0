"""Tail share: a criterion's scores on a scale on which layers compare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.contracts import Criterion, check_criterion
from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from ..core.widest import widest


@dataclass(frozen=True)
class TailShare:
    r"""A score over the sum of itself and all larger ones of its group: :math:`h_{(k)} / \sum_{j \le k} h_{(j)}`.

    The group's own share of what would remain if the unit were the next to go. Rank all groups together by it. Inside a
    group the order stays; the best unit of every group scores exactly 1, so no group is emptied before every other is
    down to one unit; a factor on all scores of a group changes nothing. Of equal scores the first counts as the larger.
    Removing the tail of a group leaves the product of ``1 - share`` over the tail of its total score.

    ``TailShare(HInfinity())`` is the score of LAST. `Lamp` is the same of squared magnitudes.

    Args:
        criterion: gives the scores, none negative.

    References:
        Gwak et al. 2024, "Layer-adaptive state pruning for deep state space models"; Lee et al. 2021 (LAMP).

    >>> from niwaki.core import Slice
    >>> from niwaki.criteria.magnitude import Magnitude
    >>> group = Group("w", 5, (Slice("w", (5,)),))
    >>> shares = TailShare(Magnitude())(group, Signals({"weight": {"w": torch.tensor([8.0, 4.0, 2.0, 1.0, 1.0])}}))
    >>> [round(1 / share, 6) for share in shares.tolist()]  # 8/8, 4/12, 2/14, 1/15, 1/16
    [1.0, 3.0, 7.0, 15.0, 16.0]
    """

    criterion: Criterion

    def __post_init__(self) -> None:
        check_criterion(self.criterion)

    @property
    def needs(self) -> frozenset[str]:
        """What the criterion needs."""
        return self.criterion.needs

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]`` in [0, 1], float64.

        Args:
            group: the group; a layer, for the layers to compare.
            signals: what the criterion needs.

        Returns:
            The shares.

        Raises:
            SignalError: the criterion gave a negative number.
        """
        scores = widest(self.criterion(group, signals))
        if bool((scores < 0).any()):
            raise SignalError(
                f"TailShare needs scores that add up, and {type(self.criterion).__name__} gave group {group.name!r} "
                "negative ones; choose a criterion without sign"
            )
        largest_first, order = torch.sort(scores, descending=True, stable=True)
        share = largest_first / largest_first.cumsum(0)
        # Zeros after zeros only: a group whose units all score zero has no shares to give.
        return torch.empty_like(scores).scatter_(0, order, share.nan_to_num(nan=0.0))
