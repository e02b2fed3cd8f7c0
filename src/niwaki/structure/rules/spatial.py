"""Operators on images and signals: pooling, interpolation, padding, folding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import Axis, Follower, fixed
from .callsite import Axes, Site, freeze_all
from .shaping import reshaped

_PADDING = "padding of a fixed width"


def pooled(site: Site) -> Sequence[Axes | None]:
    """The last axes change, those before stay: pooling and interpolation."""
    tensor = site.get("self") or site["input"]
    why = f"{site.op._schema.name} runs over it"
    name = site.op._schema.name
    spatial = next((n for n in (1, 2, 3) if f"{n}d" in name), 2)
    spatial = 1 if "linear1d" in name or "nearest1d" in name else spatial
    for axis in tensor.axes[-spatial:]:
        site.space.freeze(axis, why)
    result: list[Axes | None] = []
    for shape in site.outs:
        if shape is None:
            result.append(None)
            continue
        rest = tuple(fixed(size, why) for size in shape[-spatial:])
        result.append((*(replace(axis, leaf=None) for axis in tensor.axes[:-spatial]), *rest))
    return result


def padded(site: Site) -> Sequence[Axes | None]:
    """New positions at the ends of an axis; they stay, what lies between them may go."""
    tensor, pad = site["self"], list(site.value("pad", site.value("padding", ())))
    zero = site.op._schema.name == "aten::constant_pad_nd" and not site.value("value", 0)
    # New positions along one axis hold the value at every position of the others, masked or not.
    keeps = zero or "constant" not in site.op._schema.name or not any(pad)
    axes = [replace(axis, zero=axis.zero and keeps, leaf=None) for axis in tensor.axes]
    for place in range(len(pad) // 2):
        left, right = pad[2 * place], pad[2 * place + 1]
        own = axes[-1 - place]
        if not left and not right:
            continue
        if not own.is_live or min(left, right) < 0 or "constant" not in site.op._schema.name:
            site.space.freeze(own, _PADDING)
            axes[-1 - place] = fixed(own.size + left + right, _PADDING)
            continue
        ends = [Axis(width, zero=zero, why=_PADDING) for width in (left, right)]
        pieces = [piece for piece in (ends[0], own, ends[1]) if piece.size]
        axes[-1 - place] = site.space.join(pieces)
    return [tuple(axes)]


def shuffled(site: Site) -> Sequence[Axes | None]:
    """``pixel_shuffle`` and back: channels are channels times the places of a small square."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    forward = "unshuffle" not in site.op._schema.name
    factor = int(site.value("upscale_factor", site.value("downscale_factor", 1)))
    *lead, channels, height, width = tensor.axes
    for axis in (height, width):
        site.space.freeze(axis, "pixels are shuffled")
    high, wide = (fixed(size, "pixels are shuffled") for size in shape[-2:])
    if forward:
        outer, inner = site.space.split(channels, channels.size // factor**2)
        site.space.freeze(inner, "the places of one pixel")
        return [(*lead, outer, high, wide)]
    merged = site.space.merge([channels, fixed(factor**2, "the places of one pixel")])
    return [(*lead, merged, high, wide)]


def unfolded(site: Site) -> Sequence[Axes | None]:
    """``im2col``: channels times the places of the kernel."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    if len(tensor.axes) != 4:
        return freeze_all(site, "unfolded without a batch axis")
    batch, channels, height, width = tensor.axes
    for axis in (height, width):
        site.space.freeze(axis, "unfolded")
    places = fixed(shape[1] // channels.size, "the places of the kernel")
    return [(batch, site.space.merge([channels, places]), fixed(shape[2], "unfolded"))]


def folded(site: Site) -> Sequence[Axes | None]:
    """``col2im``, the way back."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    made = reshaped(site.space, tensor.axes[1:2], (shape[-3], tensor.axes[1].size // shape[-3]))
    if len(tensor.axes) != 3 or made is None:
        return freeze_all(site, "folded")
    site.space.freeze(made[1], "the places of the kernel")
    site.space.freeze(tensor.axes[2], "folded")
    return [(tensor.axes[0], made[0], fixed(shape[2], "folded"), fixed(shape[3], "folded"))]


def windows(site: Site) -> Sequence[Axes | None]:
    """``Tensor.unfold``: sliding windows along one axis, which must stay."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    dim = site.dim("dimension", len(tensor.axes))
    site.space.freeze(tensor.axes[dim], "windows slide along it")
    why = "windows slide along it"
    return [(*tensor.axes[:dim], fixed(shape[dim], why), *tensor.axes[dim + 1 :], fixed(shape[-1], why))]


def channels_shuffled(site: Site) -> Sequence[Axes | None]:
    """``channel_shuffle``: groups times places, read the other way round."""
    tensor, count = site["self"], int(site.value("groups"))
    outer, inner = site.space.split(tensor.axes[1], count)
    module = site.counter("groups", count, None)
    if module is None:
        site.space.freeze(outer, "the number of groups is given by the code")
    elif outer.ids is not None:
        site.space.followers.append(Follower(outer.ids, module, "groups"))
    return [(tensor.axes[0], site.space.merge([inner, outer]), *tensor.axes[2:])]
