"""From elements to units: how the numbers of a unit's members make one score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..core.errors import GroupError, SignalError
from ..core.group import Group, Slice, gather, spread
from ..core.signals import Signals
from ..core.widest import wide


def element(signals: Signals, kind: str, tensor: str) -> Tensor:
    """One measurement in float32 at least: half precision would tie, overflow or vanish.

    Args:
        signals: the signals.
        kind: the kind of signal.
        tensor: the tensor's name.

    Returns:
        A tensor of the named tensor's shape; of complex numbers, both parts in a last axis.

    Raises:
        SignalError: squares or products of complex numbers, which do not say what they would of real ones.
    """
    value = signals.of(kind, tensor)
    if value.is_complex():
        if kind not in {"weight", "grad"}:
            raise SignalError(
                f"the signal {kind!r} of the complex tensor {tensor!r} mixes its two parts; only weights and gradients "
                "of complex parameters can be scored"
            )
        # Both parts are parameters of their own; torch's gradient holds the derivative by each of them.
        value = torch.view_as_real(value)
    return wide(value)


def of_units(group: Group, signals: Signals, kind: str) -> Tensor:
    """One measurement per unit, in float32 at least.

    Args:
        group: the group.
        signals: the signals.
        kind: the kind of signal, measured per unit.

    Returns:
        ``[size]``.

    Raises:
        SignalError: it is not of that size.
    """
    value = element(signals, kind, group.name)
    if value.shape != (group.size,):
        raise SignalError(
            f"the signal {kind!r} of group {group.name!r} has shape {tuple(value.shape)}, and the group {group.size} "
            "units; collect it anew with tensors=groups"
        )
    return value


def with_roles(group: Group, roles: Collection[str] | None, *, strict: bool = False) -> Group:
    """The group with only the slices that play certain roles.

    Args:
        group: the group.
        roles: such as ``out`` or ``in``; all slices without them.
        strict: refuse a group whose slices have no roles at all (single weights, blocks), which counts whole otherwise.

    Returns:
        The group, or a part of it.

    Raises:
        GroupError: no slice plays any of the roles.
    """
    have = sorted({where.role for where in group.slices if where.role})
    if roles is None or not (have or strict):
        return group
    chosen = tuple(where for where in group.slices if where.role in roles)
    if not chosen:
        raise GroupError(
            f"group {group.name!r} has no slice with the role {' or '.join(map(repr, roles))} (it has: "
            f"{', '.join(have) or 'none'}); leave the group out, choose another criterion, or declare Slice(..., role=)"
        )
    return replace(group, slices=chosen)


def readers(group: Group) -> Group:
    """The group with only the slices that read its units (role ``in``), where signals put their gates; else whole."""
    found = tuple(where for where in group.slices if where.role == "in")
    return replace(group, slices=found) if found else group


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
    count = Counter(where.tensor for where in group.slices)
    for where in group.slices:
        values = measure(where.tensor)
        if count[where.tensor] > 1:
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


def _are_single(parts: Sequence[Tensor]) -> bool:
    """Whether every unit has one element: of single weights there are millions, and sums take time."""
    return len(parts) == 1 and parts[0].shape[1] == 1 and parts[0].is_floating_point()


def unit_sum(group: Group, measure: Callable[[str], Tensor]) -> Tensor:
    """The sum over each unit's members.

    Args:
        group: the group.
        measure: a number per element, by tensor name.

    Returns:
        ``[size]``.
    """
    parts = list(members(group, measure))
    if _are_single(parts):
        return parts[0][:, 0].clone()
    return torch.stack([part.sum(1) for part in parts]).sum(0)


def unit_norm(group: Group, measure: Callable[[str], Tensor]) -> Tensor:
    """The Euclidean norm over each unit's members; of a single element, its absolute value to the bit.

    Args:
        group: the group.
        measure: a number per element, by tensor name.

    Returns:
        ``[size]``.
    """
    parts = list(members(group, measure))
    if _are_single(parts):
        return parts[0][:, 0].abs()
    norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts])
    total: Tensor = torch.linalg.vector_norm(norms, dim=0)
    return total
