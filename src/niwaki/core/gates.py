"""Gates: two numbers per unit, whether it acts and whether it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import GroupError
from .group import Group, spread


@dataclass(frozen=True, eq=False)
class Gates:
    """The gates of one group's units.

    ==========  =====  ============================================================================
    `forward`   train  meaning
    ==========  =====  ============================================================================
    1           yes    active
    1           no     frozen (the active part while IEE explores)
    0           no     removed
    0           yes    straight-through: acts as zero, while a hidden value learns by what zero gets
    ==========  =====  ============================================================================

    Both tensors are boolean ``[size]``.
    """

    forward: Tensor
    train: Tensor


GateMap = Mapping[str, Gates]


def dense_gates(groups: Sequence[Group], device: torch.device | None = None) -> dict[str, Gates]:
    """Gates that change nothing: every unit active."""
    return {g.name: kept_gates(torch.ones(g.size, dtype=torch.bool, device=device)) for g in groups}


def kept_gates(keep: Tensor) -> Gates:
    """Kept units active, the others removed."""
    return Gates(forward=keep, train=keep)


def tensor_masks(groups: Sequence[Group], units: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One boolean mask per tensor: the product over all slices that cover it.

    Args:
        groups: the groups.
        units: per group name, one boolean per unit ``[size]``.

    Returns:
        Masks keyed by tensor name, each of its tensor's shape. They may share memory with ``units``: do not write on
        them.

    Raises:
        GroupError: a group without its booleans.
    """
    masks: dict[str, Tensor] = {}
    for group in groups:
        if group.name not in units:
            raise GroupError(f"no gates were given for group {group.name!r}")
        for where in group.slices:
            laid = spread(where, units[group.name])
            masks[where.tensor] = laid if where.tensor not in masks else masks[where.tensor] & laid
    return masks


def counts_of(units: Mapping[str, Tensor]) -> dict[str, int]:
    """How many are marked, by name. Not by ``sum``, which takes twenty times as long of booleans.

    >>> counts_of({"a": torch.tensor([True, False, True])})
    {'a': 2}
    """
    return {name: int(mask.count_nonzero()) for name, mask in units.items()}


def densities(units: Mapping[str, Tensor]) -> dict[str, float]:
    """The share that is marked, by name."""
    return {name: count / max(1, units[name].numel()) for name, count in counts_of(units).items()}


def as_factor(mask: Tensor) -> Tensor:
    """A boolean mask to multiply by: torch multiplies by bytes in half the time it takes by booleans.

    >>> torch.ones(2) * as_factor(torch.tensor([True, False]))
    tensor([1., 0.])
    """
    return mask.view(torch.uint8)


def is_boolean_pair(gates: Gates) -> bool:
    """Whether every unit is active, frozen, removed or straight-through (nothing fading)."""
    return gates.forward.dtype == torch.bool and gates.train.dtype == torch.bool


def is_binary_pair(gates: Gates) -> bool:
    """Whether every unit is active, frozen or removed (nothing fading, nothing straight-through)."""
    return gates.forward.dtype == torch.bool and not bool((gates.train & ~gates.forward).any())
