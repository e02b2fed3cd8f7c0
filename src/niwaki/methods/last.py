"""LAST: layer-adaptive state pruning, in one shot and without data (Gwak et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ..allocate import Global
from ..core.checks import check_counts
from ..core.contracts import Allocator, Criterion
from ..core.group import Group
from ..criteria import HInfinity, TailShare
from ..signals.batches import Batch
from ..signals.pure import Loss
from ..signals.score import score
from ..structure.families import states


def last(
    model: nn.Module,
    groups: Sequence[Group] | None = None,
    *,
    density: float,
    criterion: Criterion | None = None,
    allocator: Allocator | None = None,
    batches: Iterable[Batch] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Which states of a trained state-space model stay: those with the largest share of their layer's gain.

    Every state is scored by the squared H-infinity norm of its own first-order system, each score is divided by the sum
    of itself and all larger ones of its layer, and one ranking over all layers decides. Nothing is retrained, no data
    are looked at. Every layer keeps at least one state.

    Args:
        model: the trained model; nothing about it changes.
        groups: its groups (``states(model)``).
        density: share of the states that stays.
        criterion: ``TailShare(HInfinity())``; ``TailShare(H2())`` is the follow-up, any other can stand in.
        allocator: ``Global()``: one ranking over all layers.
        batches: for criteria that look at data.
        loss: for criteria that look at gradients.
        seed: for criteria that draw random numbers.

    Returns:
        Booleans ``[size]`` per group name, ``True`` = kept: for `shrink`, or as a mask.
    """
    check_counts(seed=(seed, 0))
    found = states(model) if groups is None else groups
    chance = torch.Generator().manual_seed(seed)
    scores = score(criterion or TailShare(HInfinity()), model, found, batches, loss, generator=chance)
    return (allocator or Global())(found, scores, density)
