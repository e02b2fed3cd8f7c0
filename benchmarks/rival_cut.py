"""A network cut by Torch-Pruning, to the same predicted latency as ours: for structured_training.py."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable

from torch import Tensor, nn

from niwaki.core import Group, Limit

Loss = Callable[[Tensor, Tensor], Tensor]


def widths(model: nn.Module, groups: Iterable[Group]) -> dict[str, int]:
    """The channels left in each of our groups, by the layer that names it."""
    weights = dict(model.named_parameters())
    return {group.name: len(weights[f"{group.name}.weight"]) for group in groups}


def with_gradients(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], loss_of: Loss) -> nn.Module:
    """The model, with the sum of the gradients of some batches."""
    model.eval().zero_grad()
    for x, y in batches:
        loss_of(model(x), y).backward()
    return model


def narrowed(model: nn.Module, x: Tensor, ratio: float, chunk: int, *, local: bool) -> nn.Module:
    """A copy that lost so large a share of the channels, by chunks, the classifier kept.

    Over all layers by group Taylor importance, or in each layer by group magnitude (``local``).
    """
    import torch_pruning

    importances, small = torch_pruning.importance, copy.deepcopy(model)
    for mine, given in zip(small.parameters(), model.parameters(), strict=True):
        mine.grad = given.grad  # a copy has none
    classifier = [part for part in small.modules() if isinstance(part, nn.Linear)][-1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch_pruning.pruner.BasePruner(
            small,
            x,
            importance=importances.MagnitudeImportance() if local else importances.TaylorImportance(),
            global_pruning=not local,
            pruning_ratio=ratio,
            max_pruning_ratio=0.9,
            round_to=chunk,
            ignored_layers=classifier,
        ).step()
    return small


def torch_pruning_cut(
    model: nn.Module, groups: list[Group], limit: Limit, x: Tensor, *, local: bool
) -> tuple[nn.Module, dict[str, int]]:
    """The least cut by Torch-Pruning that the budget allows, of many tried, and what it leaves of our groups.

    A larger share does not always cost less: a layer that would lose all its channels loses none.
    """
    best: tuple[float, nn.Module, dict[str, int]] | None = None
    for percent in range(3, 98):
        small = narrowed(model, x, percent / 100, groups[0].multiple_of, local=local)
        counts = widths(small, groups)
        cost = limit.cost(counts)
        if cost <= limit.most and (best is None or cost > best[0]):
            best = cost, small, counts
    if best is None:
        raise LookupError(f"Torch-Pruning does not reach {limit.most / limit.cost.dense:.3g} of the cost")
    return best[1:]
