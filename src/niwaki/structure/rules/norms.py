"""Normalisation: over the batch a unit stays itself, over the units it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import Axis, Follower
from .callsite import Axes, Site, Tracked, held

_OVER = "a norm runs over it"


def _affine(site: Site, axis: Axis, names: Sequence[str]) -> Axis:
    """Tie the per-unit tensors to the axis; with scale and shift masked, a masked unit is zero."""
    tied = [(name, site.get(name)) for name in names]
    for name, tensor in tied:
        if tensor is None:
            continue
        axis = site.space.unify(axis, tensor.axes[0])
        leaf = tensor.axes[0].leaf
        if leaf is not None and name in ("weight", "bias"):
            site.space.roles.setdefault(leaf, "scale" if name == "weight" else "shift")
    scale, shift = site.get("weight"), site.get("bias")
    masked = scale is not None and shift is not None and scale.axes[0].zero and shift.axes[0].zero
    return replace(axis, zero=masked, leaf=None)


def batch_norm(site: Site) -> Sequence[Axes | None]:
    """Each unit by its own statistics."""
    axes = list(site["input"].axes)
    axes[1] = _affine(site, axes[1], ("weight", "bias", "running_mean", "running_var"))
    return [tuple(axes), *held(site, "statistics")[1:]]


def layer_norm(site: Site) -> Sequence[Axes | None]:
    """Over the last axes: removing from one of them changes the statistics of all."""
    shape = site.value("normalized_shape")
    axes = list(site["input"].axes)
    weight, bias = site.get("weight"), site.get("bias")
    for place in range(-len(shape), 0):
        site.space.blur(axes[place], _OVER)
        axes[place] = _norm_axis(site, axes[place], place, (weight, bias))
    return [tuple(axes), *held(site, "statistics")[1:]]


def _norm_axis(site: Site, axis: Axis, place: int, tensors: tuple[Tracked | None, Tracked | None]) -> Axis:
    masked = True
    for tensor, role in zip(tensors, ("scale", "shift"), strict=True):
        if tensor is None:
            masked = masked and role == "shift"
            continue
        own = tensor.axes[place]
        axis = site.space.unify(axis, own)
        masked = masked and own.zero
        if own.leaf is not None:
            site.space.roles.setdefault(own.leaf, role)
    return replace(axis, zero=masked, leaf=None)


def group_norm(site: Site) -> Sequence[Axes | None]:
    """Whole groups may go; inside a group removal changes its statistics."""
    count = int(site.value("group", site.value("num_groups", 1)))
    axes = list(site["input"].axes)
    if axes[1].ids is not None:
        outer, inner = site.space.split(axes[1], count) if count < axes[1].size else (axes[1], None)
        if inner is not None or count == 1:
            site.space.blur(inner if inner is not None else axes[1], _OVER)
        if outer.ids is not None:
            if getattr(site.owner, "num_groups", None) == count:
                site.space.followers.append(Follower(outer.ids, site.module, "num_groups"))
            else:
                site.space.freeze(outer, "the number of groups is given by the code")
    axes[1] = _affine(site, axes[1], ("weight", "bias"))
    return [tuple(axes), *held(site, "statistics")[1:]]
