"""Operators that rearrange axes: reshape, permute, expand, repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..axes import Axis, Space, fixed
from .callsite import Axes, Site

_RAGGED = "a reshape cuts across it"


def _take(space: Space, queue: list[Axis], want: int) -> Axis | None:
    """Merge axes from the front of the queue until they make ``want`` positions; ``None`` if they cannot."""
    taken: list[Axis] = []
    have = 1
    while have < want:
        if not queue:
            return None
        axis = queue.pop(0)
        if axis.parts:
            queue[:0] = axis.parts
            continue
        need = want // have
        if want % have:
            return None
        if axis.size > need:
            if axis.size % need:
                return None
            axis, rest = space.split(axis, need)
            queue.insert(0, rest)
        taken.append(axis)
        have *= axis.size
    return space.merge(taken)


def reshaped(space: Space, axes: Sequence[Axis], shape: Sequence[int]) -> Axes | None:
    """The axes of a reshaped tensor; ``None`` where the new shape cuts across the old axes."""
    if tuple(axis.size for axis in axes) == tuple(shape):
        return tuple(axes)
    # An axis that keeps its size keeps everything, its parts too; only what lies between is taken apart.
    queue = [axis for axis in axes if axis.size != 1]
    result: list[Axis] = []
    for want in shape:
        if want == 1:
            result.append(fixed(1, "a single unit"))
        elif queue and queue[0].size == want:
            result.append(queue.pop(0))
        else:
            taken = _take(space, queue, want)
            if taken is None:
                return None
            result.append(taken)
    return None if queue else tuple(result)


def view(site: Site) -> Sequence[Axes | None]:
    """Reshape: axes are merged and split, never guessed."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    if math.prod(shape) == 0:
        return [tuple(fixed(size, "an empty tensor") for size in shape)]
    made = reshaped(site.space, tensor.axes, shape)
    if made is None:
        for axis in tensor.axes:
            site.space.freeze(axis, _RAGGED)
        return [tuple(fixed(size, _RAGGED) for size in shape)]
    return [made]


def transpose(site: Site) -> Sequence[Axes | None]:
    """Two axes change places."""
    axes = list(site["self"].axes)
    if len(axes) < 2:
        return [tuple(axes)]
    first, second = site.dim("dim0", len(axes), 0), site.dim("dim1", len(axes), 1)
    axes[first], axes[second] = axes[second], axes[first]
    return [tuple(axes)]


def permute(site: Site) -> Sequence[Axes | None]:
    """Axes in another order."""
    axes = site["self"].axes
    return [tuple(axes[dim] for dim in site.value("dims"))]


def unsqueeze(site: Site) -> Sequence[Axes | None]:
    """A new axis of one position."""
    axes = list(site["self"].axes)
    axes.insert(int(site.value("dim")) % (len(axes) + 1), fixed(1, "a single unit"))
    return [tuple(axes)]


def squeeze(site: Site) -> Sequence[Axes | None]:
    """Axes of one position go; the others must keep more than one, or they would go as well."""
    axes = site["self"].axes
    asked = site.value("dim", list(range(len(axes))))
    gone = {dim % len(axes) for dim in ([asked] if isinstance(asked, int) else asked)} if axes else set()
    site.space.plural.extend(ids for dim in gone if (ids := axes[dim].ids) is not None)
    return [tuple(axis for place, axis in enumerate(axes) if place not in gone or axis.size != 1)]


def paired(site: Site) -> Sequence[Axes | None]:
    """Complex numbers as pairs of real ones, and back: the last axis holds two, which stay."""
    axes, shape = site["self"].axes, site.outs[0]
    assert shape is not None
    pair = "a real and an imaginary part"
    if len(shape) > len(axes):
        return [(*axes, fixed(2, pair))]
    site.space.freeze(axes[-1], pair)
    return [axes[:-1]]


def expand(site: Site) -> Sequence[Axes | None]:
    """An axis of one position becomes many equal ones, whose number follows what they meet."""
    axes, shape = site["self"].axes, site.outs[0]
    assert shape is not None
    result = []
    for place in range(-len(shape), 0):
        own = axes[place] if len(axes) >= -place else None
        if own is not None and own.size == shape[place]:
            result.append(own)
            continue
        new = site.space.fresh(shape[place])
        if new.ids is not None:
            site.space.made.append(new.ids)
        result.append(new)
    return [tuple(result)]


def repeat(site: Site) -> Sequence[Axes | None]:
    """An axis repeated end to end: one atom at several positions."""
    times = site.value("repeats")
    axes = [fixed(1, "a single unit")] * (len(times) - len(site["self"].axes)) + list(site["self"].axes)
    result = []
    for axis, count in zip(axes, times, strict=True):
        if count == 1:
            result.append(axis)
        elif axis.ids is None:
            new = site.space.fresh(axis.size * count) if axis.size == 1 else fixed(axis.size * count, axis.why)
            if new.ids is not None:
                site.space.made.append(new.ids)
            result.append(new)
        else:
            result.append(Axis(axis.size * count, np.tile(axis.ids, count), zero=axis.zero))
    return [tuple(result)]


def flip(site: Site) -> Sequence[Axes | None]:
    """Positions in reverse order."""
    axes = list(site["self"].axes)
    for dim in site.value("dims"):
        axes[dim] = replace(site.space.part(axes[dim], slice(None, None, -1)), zero=axes[dim].zero)
    return [tuple(axes)]


def roll(site: Site) -> Sequence[Axes | None]:
    """Positions shifted round: a shift of fixed length does not survive a cut."""
    axes = site["self"].axes
    dims = site.value("dims", ())
    for dim in dims or range(len(axes)):
        site.space.freeze(axes[dim], "rolled by a fixed number of positions")
    gone = {dim % len(axes) for dim in dims or range(len(axes))}
    return [tuple(fixed(a.size, "rolled") if i in gone else a for i, a in enumerate(axes))]
