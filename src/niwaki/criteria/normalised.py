"""Scores on one scale, so that groups compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..core.contracts import Criterion, check_criterion
from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .magnitude import Magnitude
from .units import unit_sum

_By = Literal["mean", "max", "sum", "l2", "zscore", "members"]


def _members(group: Group, like: Tensor) -> Tensor:
    """How many parameters each unit has."""
    shapes = {where.tensor: where.shape for where in group.slices}
    one = torch.ones((), dtype=like.dtype, device=like.device)
    return unit_sum(group, lambda name: one.expand(shapes[name]))


@dataclass(frozen=True)
class Normalised:
    """The scores of a criterion, divided by a number of their group.

    =========  ===========================================================
    by         score of a unit
    =========  ===========================================================
    mean       ``s_u`` over the mean of ``|s_v|`` of the group's units
    max        over the largest ``|s_v|``
    sum        over their sum
    l2         over their Euclidean norm
    zscore     ``(s_u - mean) / standard deviation``, signed
    members    over the number of parameters of the unit
    =========  ===========================================================

    The order inside a group stays, but for ``members`` where units are of different size. Use it to rank groups
    together (`Global`) whose scores live on different scales. A group without scores other than zero, or without
    spread for ``zscore``, scores zero.

    Args:
        criterion: gives the scores; the norms of the units as it stands.
        by: what they are divided by.

    Raises:
        SignalError: another way.

    >>> from niwaki.core import Slice
    >>> weights = Group("w", 3, (Slice("w", (3,)),))
    >>> Normalised()(weights, Signals({"weight": {"w": torch.tensor([1.0, -2.0, 3.0])}}))
    tensor([0.5000, 1.0000, 1.5000])
    """

    criterion: Criterion = Magnitude()
    by: _By = "mean"

    def __post_init__(self) -> None:
        if self.by not in get_args(_By):
            raise SignalError(f"Normalised knows {', '.join(map(repr, get_args(_By)))}, not {self.by!r}")
        check_criterion(self.criterion)

    @property
    def needs(self) -> frozenset[str]:
        """What the criterion needs."""
        return self.criterion.needs

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[size]`` in float32 at least."""
        scores = self.criterion(group, signals)
        if self.by == "members":
            return scores / _members(group, scores)
        sizes = scores.abs()
        if self.by == "zscore":
            is_flat = scores.max() == scores.min()  # rounding would give equal scores a spread
            scores, total = scores - scores.mean(), scores.std(correction=0)
        else:
            total = {"mean": torch.mean, "max": torch.amax, "sum": torch.sum, "l2": torch.linalg.vector_norm}[self.by](
                sizes
            )
            is_flat = total == 0
        return torch.where(is_flat, torch.zeros_like(scores), scores / total)
