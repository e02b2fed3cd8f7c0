"""From elements to units: how the numbers of a unit's members make one score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..core.group import Group, Slice, gather, spread
from ..core.signals import Signals


def element(signals: Signals, kind: str, tensor: str) -> Tensor:
    """One measurement in float32 at least: half precision would tie, overflow or vanish.

    Args:
        signals: the signals.
        kind: the kind of signal.
        tensor: the tensor's name.

    Returns:
        A tensor of the named tensor's shape.
    """
    value = signals.of(kind, tensor)
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _owners(where: Slice, size: int, device: torch.device) -> Tensor:
    # `spread` lays a one where no unit is, so the units are numbered from two.
    return spread(where, torch.arange(2, size + 2, device=device))


def members(group: Group, measure: Callable[[str], Tensor]) -> Iterator[Tensor]:
    """The elements of each unit, slice by slice; an element that two slices give to one unit is counted once.

    Args:
        group: the group.
        measure: a number per element, by tensor name.

    Yields:
        Tensors ``[size, k]``.
    """
    seen: dict[str, list[Tensor]] = {}
    twice = {where.tensor for where in group.slices if sum(w.tensor == where.tensor for w in group.slices) > 1}
    for where in group.slices:
        values = measure(where.tensor)
        if where.tensor in twice:
            mine = _owners(where, group.size, values.device)
            for others in seen.setdefault(where.tensor, []):
                values = values.masked_fill((mine == others) & (mine > 1), 0)
            seen[where.tensor].append(mine)
        yield gather(where, values)


def is_elementwise(group: Group) -> bool:
    """Whether every unit is a single element of a single tensor."""
    first = group.slices[0]
    if first.index is None:
        return len(group.slices) == 1 and first.tile == (1, 1)
    return len(group.slices) == 1 and math.prod(first.shape) == first.index.numel() == group.size


def unit_sum(group: Group, measure: Callable[[str], Tensor]) -> Tensor:
    """The sum over each unit's members.

    Args:
        group: the group.
        measure: a number per element, by tensor name.

    Returns:
        ``[size]``.
    """
    return torch.stack([part.sum(1) for part in members(group, measure)]).sum(0)


def unit_norm(group: Group, measure: Callable[[str], Tensor]) -> Tensor:
    """The Euclidean norm over each unit's members; of a single element, its absolute value to the bit.

    Args:
        group: the group.
        measure: a number per element, by tensor name.

    Returns:
        ``[size]``.
    """
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in members(group, measure)])
    total: Tensor = torch.linalg.vector_norm(norms, dim=0)
    return total
