"""Scores of a criterion for a model as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ..core.contracts import Criterion, check_criterion
from ..core.errors import SignalError
from ..core.finite import not_finite
from ..core.group import Group, check_groups
from ..core.names import parameters_of
from ..core.signals import Signals
from .batches import Batch, check_batches
from .collect import collect
from .gradients import check_count
from .processes import in_step, is_shared
from .pure import Loss, Step


def checked_score(criterion: Criterion, group: Group, signals: Signals) -> Tensor:
    """What a criterion gives for a group, if it is a score for every unit.

    Args:
        criterion: the criterion.
        group: the group.
        signals: what it reads.

    Returns:
        ``[size]``.

    Raises:
        SignalError: of another shape, or not finite.
    """
    scores = criterion(group, signals)
    name = type(criterion).__name__
    if scores.shape != (group.size,):
        raise SignalError(f"{name} gave {tuple(scores.shape)} scores for group {group.name!r} of {group.size} units")
    if not_finite({name: scores}) is not None:
        bad = int((~torch.isfinite(scores)).count_nonzero())
        raise SignalError(
            f"{name} gave {bad} of {group.size} units of group {group.name!r} a score that is not finite; look for "
            "NaN, infinity or very large numbers in its weights and signals"
        )
    return scores


def score(
    criterion: Criterion,
    model: nn.Module,
    groups: Sequence[Group],
    batches: Iterable[Batch] | None = None,
    loss: Loss | None = None,
    *,
    step: Step | None = None,
    generator: torch.Generator | None = None,
    draws: int = 1,
    per_batch: bool | None = None,
    reduce: bool = True,
) -> dict[str, Tensor]:
    """Collect what a criterion needs and ask it about every group.

    Args:
        criterion: how much each unit matters.
        model: the model; nothing about it changes.
        groups: its groups.
        batches: as for `collect`; may be left out for criteria that look at weights or chance alone.
        loss: as for `collect`.
        step: as for `collect`.
        generator: as for `collect`.
        draws: as for `collect`.
        per_batch: score every batch by itself and average the scores, as a sparsifier does over its window, in place of
            measuring all batches together and scoring once. By default what reads the mean gradient (``grad``) is
            scored so: over all samples of a trained network that gradient is near zero, and scores of it are noise.
        reduce: as for `collect`.

    Returns:
        Scores ``[size]`` by group name; higher = keep.

    Raises:
        SignalError: ``per_batch`` without batches.
    """
    check_groups(groups, parameters_of(model))
    check_criterion(criterion)

    def measure(some: Iterable[Batch] | None) -> dict[str, Tensor]:
        signals = collect(
            model, some, loss,
            needs=criterion.needs, tensors=groups, step=step, generator=generator, draws=draws, reduce=reduce,
        )  # fmt: skip
        return {group.name: checked_score(criterion, group, signals) for group in groups}

    if per_batch is None:
        per_batch = batches is not None and "grad" in criterion.needs
    if not per_batch:
        return measure(batches)
    check_batches(batches)
    if batches is None:
        raise SignalError("per_batch=True averages the scores of batches; pass batches=")
    device = next(model.parameters()).device
    totals: dict[str, Tensor] = {}
    count = 0
    for batch in in_step(batches, device, shared=is_shared(reduce)):
        scores = measure([batch])
        totals = {name: totals[name] + value if totals else value for name, value in scores.items()}
        count += 1
    check_count(count)
    return {name: total / count for name, total in totals.items()}
