"""Operators that look up positions by number: embeddings, indexing, gathering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..axes import fixed
from .callsite import Axes, Site, Tracked, freeze_all

_LOOKED_UP = "its positions are looked up by number"


def embedding(site: Site) -> Sequence[Axes | None]:
    """Rows of a table by number; the width of the rows may be cut."""
    table, places = site["weight"], site["indices"]
    site.space.freeze(table.axes[0], _LOOKED_UP)
    width = table.axes[1]
    if width.leaf is not None:
        site.space.roles.setdefault(width.leaf, "out")
    return [(*(replace(axis, zero=False) for axis in places.axes), replace(width, leaf=None))]


def indexed(site: Site) -> Sequence[Axes | None]:
    """``x[..., index, ...]``: the axes looked into stay, the others pass."""
    tensor, indices = site["self"], site.value("indices")
    places = [place for place, index in enumerate(indices) if isinstance(index, Tracked)]
    for place in places:
        site.space.freeze(tensor.axes[place], _LOOKED_UP)
    if any(index.is_live for index in indices if isinstance(index, Tracked)):
        return freeze_all(site, _LOOKED_UP)
    shape = site.outs[0]
    assert shape is not None
    others = [axis for place, axis in enumerate(tensor.axes) if place not in places]
    count = len(shape) - len(others)
    if count < max((len(indices[place].axes) for place in places), default=0):
        return _masked(site, tensor, [indices[place] for place in places], places[0])
    # Neighbouring indices put their axes where they stood, scattered ones in front.
    together = places == list(range(places[0], places[-1] + 1)) if places else True
    start = places[0] if places and together else 0
    new = [fixed(size, _LOOKED_UP) for size in shape[start : start + count]]
    return [(*others[:start], *new, *others[start:])]


def _masked(site: Site, tensor: Tracked, masks: list[Tracked], place: int) -> Sequence[Axes | None]:
    """``x[mask]``: the axes under the mask become one, of as many positions as it picks."""
    shape, end = site.outs[0], place + len(masks[0].axes)
    if shape is None or len(masks) > 1 or len(shape) != len(tensor.axes) - len(masks[0].axes) + 1:
        return freeze_all(site, _LOOKED_UP)
    for axis in tensor.axes[place:end]:
        site.space.freeze(axis, _LOOKED_UP)
    return [(*tensor.axes[:place], fixed(shape[place], _LOOKED_UP), *tensor.axes[end:])]


def index_selected(site: Site) -> Sequence[Axes | None]:
    """``index_select``: one axis is looked into, the others pass."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    dim = site.dim("dim", len(tensor.axes))
    site.space.freeze(tensor.axes[dim], _LOOKED_UP)
    return [tuple(fixed(shape[i], _LOOKED_UP) if i == dim else axis for i, axis in enumerate(tensor.axes))]


def gathered(site: Site) -> Sequence[Axes | None]:
    """``gather``: the axes of the index are those of the result."""
    tensor, index = site["self"], site["index"]
    dim = site.dim("dim", len(tensor.axes))
    axes = []
    for place, (own, its) in enumerate(zip(tensor.axes, index.axes, strict=True)):
        if place == dim or own.size != its.size:
            site.space.freeze(own, _LOOKED_UP)
            axes.append(replace(its, zero=False))
        else:
            axes.append(replace(site.space.unify(own, its), zero=own.zero))
    return [tuple(axes)]
