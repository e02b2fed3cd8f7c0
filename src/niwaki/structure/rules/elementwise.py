"""Operators that work element by element, with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_map

from ..axes import Axis, fixed
from .callsite import Axes, Site, Tracked, held

_TRIALS = (1.7, -0.6, 0.25)
_KNOWN: dict[tuple[object, ...], str] = {}


def elementwise(site: Site) -> Sequence[Axes | None]:
    """Axes that meet are one; an axis of one position stretches over any other."""
    shape = next(shape for shape in site.outs if shape is not None)
    tensors = list(site.tensors())
    axes = []
    for place in range(-len(shape), 0):
        size = shape[place]
        meeting = [t.axes[place] if len(t.axes) >= -place and t.axes[place].size == size else None for t in tensors]
        present = [axis for axis in meeting if axis is not None]
        if size == 1 or not present:
            axes.append(fixed(size, "a single unit"))
            continue
        one = site.space.unify(*present)
        if one.is_live:
            verdict = _at_zero(site.op, site.args, tuple(axis is not None and axis.zero for axis in meeting))
            if verdict == "nan":
                site.space.blur(one, f"{site.op._schema.name} gives no number where units are masked")
            one = replace(one, zero=verdict == "zero")
        axes.append(replace(one, leaf=None) if len(tensors) > 1 else one)
    return [tuple(axes) if out == shape else _other(site, out) for out in site.outs]


def _other(site: Site, shape: tuple[int, ...] | None) -> Axes | None:
    return None if shape is None else tuple(fixed(size, f"comes out of {site.op._schema.name}") for size in shape)


def _at_zero(op: OpOverload, args: Mapping[str, Any], zeros: tuple[bool, ...]) -> str:
    """What the operator gives where some operands are zero and the others are anything: "zero", "nan" or "other".

    "nan" also stands for the infinite, which times the zero weight of a masked unit is no number either.
    """
    plain = tuple(repr(value) for value in args.values() if not _holds_tensor(value))
    key = (op, plain, zeros)
    if key not in _KNOWN:
        _KNOWN[key] = _tried(op, args, zeros)
    return _KNOWN[key]


def _holds_tensor(value: object) -> bool:
    return isinstance(value, Tracked) or (isinstance(value, list | tuple) and any(map(_holds_tensor, value)))


def _tried(op: OpOverload, args: Mapping[str, Any], zeros: tuple[bool, ...]) -> str:
    free = zeros.count(False)
    for trial in product(_TRIALS, repeat=min(free, 3)):
        values = list(trial) + [trial[0] if trial else 1.0] * (free - len(trial))
        given = [0.0 if zero else values.pop() for zero in zeros]
        try:
            result = op(**_with_values(args, given))
        except (RuntimeError, TypeError, NotImplementedError):
            return "other"  # an operator of whole numbers or of booleans: nothing is known of it at zero
        first = result if isinstance(result, Tensor) else result[0]
        if not bool(first.isfinite().all()):
            return "nan"
        if bool((first != 0).any()):
            return "other"
    return "zero"


def _with_values(args: Mapping[str, Any], given: Sequence[float]) -> dict[str, Any]:
    values = iter(given)

    def small(x: object) -> object:
        return torch.full((1,), next(values)) if isinstance(x, Tracked) else x

    filled: dict[str, Any] = tree_map(small, dict(args), is_leaf=lambda x: isinstance(x, Tracked))
    return filled


def same(site: Site) -> Sequence[Axes | None]:
    """A copy, another type, another memory: the axes stay."""
    return [site["self"].axes]


def overwritten(site: Site) -> Sequence[Axes | None]:
    """``a.copy_(b)``: the axes of both are one, the values those of the source."""
    target, source = site["self"], site["src"]
    axes: list[Axis] = []
    for place in range(-len(target.axes), 0):
        mine = target.axes[place]
        theirs = source.axes[place] if len(source.axes) >= -place else None
        if theirs is None or theirs.size != mine.size:
            axes.append(replace(mine, zero=False))
        else:
            axes.append(replace(site.space.unify(mine, theirs), zero=theirs.zero))
    return [tuple(axes)]


def gated(site: Site) -> Sequence[Axes | None]:
    """``glu``: one half of an axis gates the other, so a unit is a pair of positions."""
    tensor = site["self"]
    dim = site.dim("dim", len(tensor.axes), -1)
    halves, inner = site.space.split(tensor.axes[dim], 2)
    site.space.freeze(halves, "the two halves of a gate")
    return [tuple(inner if i == dim else axis for i, axis in enumerate(tensor.axes))]


def channelwise(site: Site) -> Sequence[Axes | None]:
    """``prelu``: the weight belongs to the second axis."""
    tensor, weight = site["self"], site["weight"]
    axes = list(tensor.axes)
    dim = 1 if len(axes) > 1 else 0
    place = next((axis for axis in weight.axes if axis.size > 1), None)
    if place is not None:
        axes[dim] = replace(site.space.unify(axes[dim], place), zero=axes[dim].zero)
    return [tuple(axes)]


def filled(site: Site) -> Sequence[Axes | None]:
    """A tensor of one value has no positions to tell apart; its sizes follow whatever it meets."""
    like = site.get("self")
    value = site.value("fill_value", site.value("value", 0 if "zero" in site.op._schema.name else 1))
    zero = value == 0
    if like is not None and site.outs[0] == like.shape and "new_" not in site.op._schema.name:
        return [tuple(replace(axis, zero=zero) for axis in like.axes)]
    axes = []
    for size in site.outs[0] or ():
        axis = site.space.fresh(size, zero=zero)
        if axis.ids is not None:
            site.space.made.append(axis.ids)
        axes.append(axis)
    return [tuple(axes)]


def numbered(site: Site) -> Sequence[Axes | None]:
    """Tensors whose values depend on the position: ranges, random numbers, triangles."""
    for tensor in site.tensors():
        for axis in tensor.axes:
            site.space.freeze(axis, f"{site.op._schema.name} depends on the position")
    return held(site, f"made by {site.op._schema.name}, whose values depend on the position")
