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


def narrowed(model: nn.Module, x: Tensor, ratio: float, chunk: int) -> nn.Module:
    """A copy that lost so large a share of all channels by group Taylor importance, by chunks, the classifier kept."""
    import torch_pruning

    small = copy.deepcopy(model)
    for mine, given in zip(small.parameters(), model.parameters(), strict=True):
        mine.grad = given.grad  # a copy has none
    classifier = [part for part in small.modules() if isinstance(part, nn.Linear)][-1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch_pruning.pruner.BasePruner(
            small,
            x,
            importance=torch_pruning.importance.TaylorImportance(),
            global_pruning=True,
            pruning_ratio=ratio,
            max_pruning_ratio=0.75,
            round_to=chunk,
            ignored_layers=classifier,
        ).step()
    return small


def torch_pruning_cut(
    model: nn.Module, groups: list[Group], limit: Limit, x: Tensor, chunk: int
) -> tuple[nn.Module, dict[str, int]]:
    """The least cut by Torch-Pruning that the budget allows, found by halving, and what it leaves of our groups."""
    low, high = 0.0, 0.97
    best: tuple[nn.Module, dict[str, int]] | None = None
    for _ in range(9):
        ratio = (low + high) / 2
        small = narrowed(model, x, ratio, chunk)
        counts = widths(small, groups)
        if limit.cost(counts) <= limit.most:
            best, high = (small, counts), ratio
        else:
            low = ratio
    if best is None:
        raise SystemExit(f"Torch-Pruning does not reach {limit.most / limit.cost.dense:.3g} of the cost")
    return best
