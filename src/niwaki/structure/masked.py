"""A model that acts as if the units that are not kept were gone: for as long as one looks, or as a copy with zeros."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.computed import compute_anew
from ..core.gates import tensor_masks
from ..core.group import Group, check_groups
from ..core.names import bare_model, parameters_of
from .cutting import check_rows
from .shrink import copied


def losing_masks(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of the parameters that lose something, by name: ``True`` where a number stays; arguments as for `masked`."""
    check_groups(groups, parameters_of(model))
    check_rows(groups, keep)
    return tensor_masks([g for g in groups if g.name in keep and not bool(keep[g.name].all())], keep)


def masked_parameters(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters that lose something, with the slices of the units that are not kept at zero.

    Args:
        model: the model.
        groups: its groups.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.

    Returns:
        New tensors by name; parameters that lose nothing are absent.
    """
    parameters, masks = parameters_of(model), losing_masks(model, groups, keep)
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


@torch.no_grad()
def zeroed(
    model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor], *, inplace: bool = False
) -> nn.Module:
    """A copy of the model with zeros for the units that are not kept: one-shot pruning of weights, blocks and patterns.

    Tensors keep their shapes, so that the copy runs no faster by itself; `save` with ``compact=True`` leaves the zeros
    out of the file, and `skip_zeros` out of the work where that is faster. Channels, heads and states can be zeroed
    too, but `shrink` takes them out. Training would fill the zeros again:
    ``Sparsifier(copy, groups, Plan(keep)).attach(optimizer)`` holds them.

    Args:
        model: the model, wrapped or not. It stays as it is, unless ``inplace``.
        groups: its groups, of any kind.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.
        inplace: write the zeros into the model itself and return it.

    Returns:
        The copy, without wrappers such as `torch.compile`, or the model itself.

    >>> from niwaki.structure import weights
    >>> layer = nn.Linear(3, 1, bias=False)
    >>> zeroed(layer, weights(layer), {"weight": torch.tensor([True, False, False])}).weight.count_nonzero()
    tensor(1)
    """
    masks = losing_masks(model, groups, keep)
    result = model if inplace else copied(bare_model(model))
    parameters = parameters_of(result)
    for name, mask in masks.items():
        parameters[name].masked_fill_(~mask.to(parameters[name].device), 0)
    compute_anew(bare_model(result))
    return result
