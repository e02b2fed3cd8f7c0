"""Products of matrices: the inner axes are one, and vanish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import Axis, Space, fixed
from .callsite import Axes, Site, Tracked

_OPEN = "summed over although masked units are not zero there"


def contract(space: Space, left: Axis, right: Axis) -> None:
    """Sum over an axis of two tensors. What is removed must have been zero in one of them."""
    space.unify(left, right)
    if not (left.zero or right.zero):
        space.blur(left, _OPEN)
        space.blur(right, _OPEN)


def _roles(space: Space, weight: Tracked, inputs: Axis, outputs: Axis) -> None:
    for axis, role in ((inputs, "in"), (outputs, "out")):
        if axis.leaf is not None:
            space.roles.setdefault(axis.leaf, role)


def product(site: Site, left: Tracked, right: Tracked) -> Axes:
    """``left @ right`` for matrices, or for batches of them."""
    space = site.space
    contract(space, left.axes[-1], right.axes[-2])
    batch = []
    for a, b in zip(left.axes[:-2], right.axes[:-2], strict=True):
        one = space.unify(a, b)
        if one.ids is not None:
            space.batches.append(one.ids)
        batch.append(replace(one, zero=a.zero or b.zero))
    for axis in batch:
        _mark_parts(space, axis)
    if not batch:
        _roles(space, right, right.axes[-2], right.axes[-1])
    return (*batch, _bare(left.axes[-2]), _bare(right.axes[-1]))


def _bare(axis: Axis) -> Axis:
    return replace(axis, leaf=None)


def _mark_parts(space: Space, axis: Axis) -> None:
    for part in axis.parts:
        if part.ids is not None:
            space.batches.append(part.ids)
        _mark_parts(space, part)


def added(site: Site, bias: Tracked | None, axes: Axes) -> Axes:
    """A bias on a product: its axes are those of the output, from the right."""
    if bias is None:
        return axes
    result = list(axes)
    for place in range(-len(axes), 0):
        own = bias.axes[place] if len(bias.axes) >= -place else None
        if own is None or own.size != axes[place].size:
            result[place] = replace(axes[place], zero=False)
            continue
        one = site.space.unify(axes[place], own)
        result[place] = replace(one, zero=axes[place].zero and own.zero)
        if own.leaf is not None:
            site.space.roles.setdefault(own.leaf, "bias")
    return tuple(result)


def matrix(site: Site) -> Sequence[Axes | None]:
    """``mm`` and ``bmm``."""
    return [product(site, site["self"], site["mat2"])]


def biased(site: Site) -> Sequence[Axes | None]:
    """``addmm`` and ``baddbmm``."""
    names = ("mat1", "mat2") if "mat1" in site.args else ("batch1", "batch2")
    made = product(site, site[names[0]], site[names[1]])
    return [added(site, site["self"], made)]


def vector(site: Site) -> Sequence[Axes | None]:
    """``mv``, ``dot`` and ``vdot``."""
    left = site["self"]
    right = next(site[name] for name in ("vec", "tensor", "other") if name in site.args)
    contract(site.space, left.axes[-1], right.axes[0])
    return [left.axes[:-1]]


def linear(site: Site) -> Sequence[Axes | None]:
    """``linear`` where it comes undivided."""
    tensor, weight = site["input"], site["weight"]
    contract(site.space, tensor.axes[-1], weight.axes[1])
    _roles(site.space, weight, weight.axes[1], weight.axes[0])
    return [added(site, site.get("bias"), (*tensor.axes[:-1], _bare(weight.axes[0])))]


def attention(site: Site) -> Sequence[Axes | None]:
    """Scaled dot-product attention: heads go as a whole, the inner width of queries and keys is one."""
    space = site.space
    query, key, value = site["query"].axes, site["key"].axes, site["value"].axes
    heads = []
    for triple in zip(query[:-2], key[:-2], value[:-2], strict=True):
        one = _shared(space, *triple)
        if one.ids is not None:
            space.batches.append(one.ids)
            _mark_parts(space, one)
        heads.append(replace(one, zero=triple[2].zero))
    contract(space, query[-1], key[-1])
    if site.value("scale") is None:
        space.freeze(query[-1], "the scale of attention follows from its width")
    space.unify(key[-2], value[-2])
    space.freeze(key[-2], "attention runs over it")
    mask = site.get("attn_mask") or site.get("attn_bias")
    for place in range(-len(mask.axes), 0) if mask else ():
        assert mask is not None
        if place == -1:
            space.freeze(mask.axes[-1], "attention runs over it")
        elif mask.axes[place].size == query[place].size:
            space.unify(query[place], mask.axes[place])
    # A query of zeros attends to everything alike: what comes out is not zero.
    result = (*heads, replace(query[-2], zero=False), value[-1])
    return [result, *(_rest(shape, (*heads, query[-2])) for shape in site.outs[1:])]


def _shared(space: Space, query: Axis, key: Axis, value: Axis) -> Axis:
    """One axis of heads; several query heads may share a head of keys and values, and go with it."""
    if key.size == query.size:
        return space.unify(query, key, value)
    if key.size == 1:
        return query  # one head of keys serves any number of queries
    outer, inner = space.split(query, key.size)
    space.unify(outer, key, value)
    space.freeze(inner, "the query heads of one key head")
    if outer.ids is not None:
        space.batches.append(outer.ids)
    return query


def _rest(shape: tuple[int, ...] | None, like: Axes) -> Axes | None:
    """The sums of exponentials, one per query, and numbers for the random generator."""
    if shape is None or shape != tuple(axis.size for axis in like):
        return None if shape is None else tuple(fixed(size, "comes out of attention") for size in shape)
    return like
