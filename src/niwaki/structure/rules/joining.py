"""Operators that join tensors and take parts of them."""

from __future__ import annotations

from collections.abc import Sequence

from ..axes import Axis, fixed
from .callsite import Axes, Site, Tracked


def _with(axes: Axes, dim: int, new: Axis) -> Axes:
    return (*axes[:dim], new, *axes[dim + 1 :])


def concatenate(site: Site) -> Sequence[Axes | None]:
    """One axis end to end, the others are one."""
    tensors: list[Tracked] = [t for t in site.value("tensors") if t.shape != (0,)]
    rank = len(tensors[0].axes)
    dim = site.dim("dim", rank)
    axes = [site.space.unify(*(t.axes[place] for t in tensors)) for place in range(rank) if place != dim]
    axes.insert(dim, site.space.join([t.axes[dim] for t in tensors]))
    return [tuple(axes)]


def stack(site: Site) -> Sequence[Axes | None]:
    """A new axis, the others are one."""
    tensors: list[Tracked] = list(site.value("tensors"))
    axes = [site.space.unify(*meeting) for meeting in zip(*(t.axes for t in tensors), strict=True)]
    dim = int(site.value("dim", 0)) % (len(axes) + 1)
    axes.insert(dim, fixed(len(tensors), "as many as were stacked"))
    return [tuple(axes)]


def split(site: Site) -> Sequence[Axes | None]:
    """Pieces of one length. Equal pieces are cut alike, so that ``chunk`` finds them again."""
    tensor = site["self"]
    dim, size = (
        site.dim("dim", len(tensor.axes)),
        int(site.value("split_size", site.value("split_size_or_sections", 1))),
    )
    axis = tensor.axes[dim]
    pieces = len(site.outs)
    if pieces > 1 and axis.size == pieces * size:
        outer, inner = site.space.split(axis, pieces)
        site.space.freeze(outer, "pieces of equal length")
        return [_with(tensor.axes, dim, inner)] * pieces
    return _pieces(site, tensor, dim)


def split_with_sizes(site: Site) -> Sequence[Axes | None]:
    """Pieces of given lengths."""
    tensor = site["self"]
    return _pieces(site, tensor, site.dim("dim", len(tensor.axes)))


def _pieces(site: Site, tensor: Tracked, dim: int) -> list[Axes]:
    start, result = 0, []
    for shape in site.outs:
        assert shape is not None
        result.append(_with(tensor.axes, dim, site.space.part(tensor.axes[dim], slice(start, start + shape[dim]))))
        start += shape[dim]
    return result


def unbind(site: Site) -> Sequence[Axes | None]:
    """The tensors along one axis, which must stay as it is."""
    tensor = site["self"]
    dim = site.dim("dim", len(tensor.axes))
    site.space.freeze(tensor.axes[dim], "its positions are used one by one")
    return [(*tensor.axes[:dim], *tensor.axes[dim + 1 :])] * len(site.outs)


def select(site: Site) -> Sequence[Axes | None]:
    """One position along an axis, which must stay as it is."""
    tensor = site["self"]
    dim = site.dim("dim", len(tensor.axes))
    site.space.freeze(tensor.axes[dim], "one of its positions is picked by number")
    return [(*tensor.axes[:dim], *tensor.axes[dim + 1 :])]


def narrow(site: Site) -> Sequence[Axes | None]:
    """A slice along an axis."""
    tensor, shape = site["self"], site.outs[0]
    assert shape is not None
    dim = site.dim("dim", len(tensor.axes))
    if shape[dim] == tensor.axes[dim].size:
        return [tensor.axes]
    start, end, step = site.value("start", 0) or 0, site.value("end"), site.value("step", 1)
    return [_with(tensor.axes, dim, _every(site, tensor.axes[dim], slice(start, end, step), shape[dim]))]


def _every(site: Site, axis: Axis, span: slice, count: int) -> Axis:
    """Every so-many-th position: whole runs of that many go, or the count would fall out of step."""
    if span.step == 1:
        return site.space.part(axis, slice(*span.indices(axis.size)))
    if axis.size % span.step == 0 and count == axis.size // span.step:
        outer, inner = site.space.split(axis, count)
        site.space.freeze(inner, "positions of one run")
        return outer
    site.space.freeze(axis, "positions at a fixed distance are taken from it")
    return fixed(count, "positions at a fixed distance")
