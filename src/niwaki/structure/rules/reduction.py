"""Operators that run along an axis: sums, means, maxima, softmax, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import fixed
from .callsite import Axes, Site, freeze_all


def _dims(site: Site, rank: int) -> set[int]:
    asked = site.value("dim")
    if asked is None or asked == []:
        return set(range(rank))
    return {dim % max(rank, 1) for dim in ([asked] if isinstance(asked, int) else asked)}


def summed(site: Site) -> Sequence[Axes | None]:
    """A sum loses nothing if what is removed was zero."""
    return _reduced(site, "summed over although masked units are not zero there", open_at_zero=False)


def reduced(site: Site) -> Sequence[Axes | None]:
    """A mean, a norm, a maximum: its value changes with the number of what it runs over."""
    return _reduced(site, f"{site.op._schema.name} runs over it", open_at_zero=True)


def _reduced(site: Site, why: str, *, open_at_zero: bool) -> Sequence[Axes | None]:
    tensor = site["self"]
    dims = _dims(site, len(tensor.axes))
    for dim in dims:
        if tensor.axes and (open_at_zero or not tensor.axes[dim].zero):
            site.space.blur(tensor.axes[dim], why)
    keep = bool(site.value("keepdim", False))
    left = tuple(
        fixed(1, "a single unit") if place in dims else replace(axis, zero=axis.zero and _keeps_zero(site), leaf=None)
        for place, axis in enumerate(tensor.axes)
        if keep or place not in dims
    )
    return [None if shape is None else left for shape in site.outs]


def _keeps_zero(site: Site) -> bool:
    # The other reductions give zero for nothing but zeros; a product of nothing would be one, counting gives no zero.
    return not any(word in site.op._schema.name for word in ("prod", "logsumexp", "arg"))


def along(site: Site) -> Sequence[Axes | None]:
    """Softmax and its kin: each value depends on all along the axis."""
    tensor = site["self"]
    dim = site.dim("dim", len(tensor.axes), -1)
    site.space.blur(tensor.axes[dim], f"{site.op._schema.name} runs over it")
    axes = tuple(replace(axis, zero=False, leaf=None) for axis in tensor.axes)
    return [None if shape is None else axes for shape in site.outs]


def ordered(site: Site) -> Sequence[Axes | None]:
    """Sorting, running sums, the largest few: positions along the axis depend on one another."""
    tensor = site["self"]
    rank = len(tensor.axes)
    dim = site.dim("dim", rank, -1)
    why = f"{site.op._schema.name} runs over it"
    if rank:
        site.space.freeze(tensor.axes[dim], why)
    result: list[Axes | None] = []
    for shape in site.outs:
        if shape is None or len(shape) != rank:
            return freeze_all(site, why)
        result.append(
            tuple(fixed(shape[i], why) if i == dim else replace(a, zero=False) for i, a in enumerate(tensor.axes))
        )
    return result
