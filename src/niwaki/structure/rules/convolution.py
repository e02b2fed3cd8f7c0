"""Convolutions: plain, grouped, depthwise, transposed, in one to three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import Axis, Follower, Space, fixed
from .callsite import Axes, Site, Tracked
from .contraction import contract

_SPATIAL = "a convolution runs over it"
_KERNEL = "the kernel of a convolution"


def convolution(site: Site) -> Sequence[Axes | None]:
    """``convolution`` in all its forms; tensors without a batch axis come with one added by torch."""
    space, tensor, weight = site.space, site["input"], site["weight"]
    spatial = len(weight.axes) - 2
    lead = len(tensor.axes) - spatial - 1
    channels = tensor.axes[lead]
    for axis in tensor.axes[lead + 1 :]:
        space.freeze(axis, _SPATIAL)
    for axis in weight.axes[2:]:
        space.freeze(axis, _KERNEL)
    groups, turned = int(site.value("groups", 1)), bool(site.value("transposed", False))
    if groups == 1:
        outputs = _plain(space, channels, weight, turned)
    else:
        outputs = _grouped(site, channels, weight, groups, turned)
    bias = site.get("bias")
    zero = weight.axes[1 if turned and groups == 1 else 0].zero
    if groups == channels.size == outputs.size:
        zero = zero or channels.zero  # each channel by itself
    if bias is not None:
        outputs = space.unify(outputs, bias.axes[0])
        zero = zero and bias.axes[0].zero
        if bias.axes[0].leaf is not None:
            space.roles.setdefault(bias.axes[0].leaf, "bias")
    shape = site.outs[0]
    assert shape is not None
    rest = tuple(fixed(size, _SPATIAL) for size in shape[lead + 1 :])
    return [(*tensor.axes[:lead], replace(outputs, zero=zero, leaf=None), *rest)]


def _note(space: Space, weight: Tracked, roles: dict[int, str]) -> None:
    for dim, role in roles.items():
        leaf = weight.axes[dim].leaf
        if leaf is not None:
            space.roles.setdefault(leaf, role)


def _plain(space: Space, channels: Axis, weight: Tracked, turned: bool) -> Axis:
    inputs, outputs = (0, 1) if turned else (1, 0)
    contract(space, channels, weight.axes[inputs])
    _note(space, weight, {inputs: "in", outputs: "out"})
    return weight.axes[outputs]


def _grouped(site: Site, channels: Axis, weight: Tracked, groups: int, turned: bool) -> Axis:
    """Channels are groups times the channels within one; whole groups go, or the same places of every group."""
    space = site.space
    _note(space, weight, {0: "in" if turned else "out"})
    set_of, within = space.split(channels, groups)
    if turned:  # the weight is [inputs, outputs of one group, ...]
        space.unify(channels, weight.axes[0])
        inside = weight.axes[1]
    else:
        contract(space, within, weight.axes[1])
        outer, inside = space.split(weight.axes[0], groups)
        space.unify(set_of, outer)
    _follow(site, set_of, weight, groups)
    if not turned:
        return weight.axes[0]
    return replace(space.merge([set_of, inside]), zero=False)


def _follow(site: Site, axis: Axis, weight: Tracked, count: int) -> None:
    """The number of groups is written in the layer; where it is not, the proof tells whether the code counts them."""
    if axis.ids is None:
        return
    module = site.counter("groups", count, weight)
    if module is not None:
        site.space.followers.append(Follower(axis.ids, module, "groups"))
