"""A model that acts as if the units that are not kept were gone."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.gates import tensor_masks
from ..core.group import Group, check_groups
from ..core.names import parameters_of
from .cutting import check_rows


def masked_parameters(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters that lose something, with the slices of the units that are not kept at zero.

    Args:
        model: the model.
        groups: its groups.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.

    Returns:
        New tensors by name; parameters that lose nothing are absent.
    """
    parameters = parameters_of(model)
    check_groups(groups, parameters)
    check_rows(groups, keep)
    losing = [group for group in groups if group.name in keep and not bool(keep[group.name].all())]
    masks = tensor_masks(losing, keep)
    whole = {name: parameters[name].detach() for name in masks}
    return {name: whole[name].masked_fill(~mask.to(whole[name].device), 0) for name, mask in masks.items()}


@contextmanager
def masked(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> Generator[nn.Module]:
    """Within the ``with`` block, the model acts as if the units that are not kept were gone.

    The slices of these units are zero in its parameters, in place, and have their values back afterwards, bit for bit,
    also after an exception. What the block computes must be finished in the block: autograd refuses to go backwards
    from outside through weights that have changed since.

    Args:
        model: the model, wrapped or not.
        groups: its groups, of any kind.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.

    Yields:
        The model.

    >>> from niwaki.structure import weights
    >>> layer = nn.Linear(2, 1, bias=False)
    >>> with masked(layer, weights(layer), {"weight": torch.tensor([False, False])}):
    ...     layer(torch.ones(1, 2)).tolist()
    [[0.0]]
    """
    parameters, changed = parameters_of(model), masked_parameters(model, groups, keep)
    before = {name: parameters[name].detach().clone() for name in changed}
    try:
        _write(parameters, changed)
        yield model
    finally:
        _write(parameters, before)


@torch.no_grad()
def _write(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        parameters[name].copy_(value)
