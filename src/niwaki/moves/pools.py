"""Which units compete with each other: those of one layer, or all together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from ..core.top import top

Scope = Literal["layer", "global"]
Normalise = Literal["none", "layer_l2"]


def lowest(scores: Tensor, among: Tensor, count: int) -> Tensor:
    """The ``count`` lowest scores among the marked units; of equal ones the highest index goes first.

    Args:
        scores: ``[size]``.
        among: booleans ``[size]``.
        count: how many.

    Returns:
        Booleans ``[size]``.
    """
    stay = int(among.count_nonzero()) - count
    return among & ~top(scores.masked_fill(~among, -torch.inf), stay)


def highest(scores: Tensor, among: Tensor, count: int) -> Tensor:
    """The ``count`` highest scores among the marked units; of equal ones the lowest index goes first.

    Args:
        scores: ``[size]``.
        among: booleans ``[size]``.
        count: how many.

    Returns:
        Booleans ``[size]``.
    """
    return top(scores.masked_fill(~among, -torch.inf), count)


def pooled(scores: Mapping[str, Tensor], normalise: Normalise) -> Tensor:
    """The scores of several groups end to end, on one scale.

    Args:
        scores: ``[size]`` per group name.
        normalise: ``layer_l2`` divides each group's scores by their root sum of squares.

    Returns:
        ``[total]``.
    """
    if normalise == "none":
        return torch.cat(list(scores.values()))
    return torch.cat([score / score.norm().clamp_min(torch.finfo(score.dtype).tiny) for score in scores.values()])


def split(flat: Tensor, sizes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cut a pooled tensor into groups again.

    Args:
        flat: ``[total]``.
        sizes: per group name, any tensor ``[size]``.

    Returns:
        Per group name ``[size]``.
    """
    return dict(zip(sizes, torch.split(flat, [t.numel() for t in sizes.values()]), strict=True))
