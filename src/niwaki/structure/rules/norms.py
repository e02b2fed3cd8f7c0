"""Normalisation: over the batch a unit stays itself, over the units it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import Axis, Follower, fixed
from .callsite import Axes, Site, Tracked

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
    masked = scale is not None and scale.axes[0].zero
    return replace(axis, zero=masked and (shift is None or shift.axes[0].zero), leaf=None)


def _shifted(site: Site) -> list[Axis]:
    """The axes of the input: what was zero is so no more, since a mean is taken away and a shift added."""
    return [replace(axis, zero=False) for axis in site["input"].axes]


def batch_norm(site: Site) -> Sequence[Axes | None]:
    """Each unit by its own statistics: those of the input itself, if none are kept, run over all its other axes."""
    axes = _shifted(site)
    if site.value("training", False):
        for place in (0, *range(2, len(axes))):
            site.space.blur(axes[place], _OVER)
    axes[1] = _affine(site, axes[1], ("weight", "bias", "running_mean", "running_var"))
    return [tuple(axes), *_statistics(site, (axes[1],))]


def layer_norm(site: Site) -> Sequence[Axes | None]:
    """Over the last axes: removing from one of them changes the statistics of all."""
    shape = site.value("normalized_shape")
    axes = _shifted(site)
    weight, bias = site.get("weight"), site.get("bias")
    for place in range(-len(shape), 0):
        site.space.blur(axes[place], _OVER)
        axes[place] = _norm_axis(site, axes[place], place, (weight, bias))
    ones = [fixed(1, "a single unit")] * len(shape)
    return [tuple(axes), *_statistics(site, (*axes[: -len(shape)], *ones))]


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
    axes = _shifted(site)
    outer = fixed(count, "groups of a norm")
    if axes[1].ids is not None:
        outer, inner = site.space.split(axes[1], count) if count < axes[1].size else (axes[1], None)
        if inner is not None or count == 1:
            site.space.blur(inner if inner is not None else axes[1], _OVER)
        if outer.ids is not None:
            module = site.counter("num_groups", count, site.get("weight"))
            if module is not None:
                site.space.followers.append(Follower(outer.ids, module, "num_groups"))
            else:
                site.space.freeze(outer, "the number of groups is given by the code")
    axes[1] = _affine(site, axes[1], ("weight", "bias"))
    return [tuple(axes), *_statistics(site, (axes[0], outer))]


def _statistics(site: Site, like: Axes) -> list[Axes | None]:
    """Means and deviations, where they come out: one per unit, group or place."""
    sizes = tuple(axis.size for axis in like)
    return [
        None if shape is None else like if shape == sizes else tuple(fixed(size, "statistics") for size in shape)
        for shape in site.outs[1:]
    ]
