"""Groups declared by hand, for tests that shall not depend on discovery."""

from __future__ import annotations

import torch

from niwaki.core import Group, Slice


def cut_at(model, tensor, dim, index):
    """A slice of a parameter or buffer; ``index`` is one position, or a row of positions, per unit."""
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    index = torch.as_tensor(index)
    return Slice(tensor, tuple(state[tensor].shape), dim, index if index.dim() == 2 else index[:, None])


def group(model, name, size, places, *, buffers=(), sizes=(), **more):
    """A group of ``size`` units; places are ``(tensor, dim)``, or ``(tensor, dim, index)`` if unit u is not row u."""

    def slices(them):
        return tuple(cut_at(model, t, d, *(index or [torch.arange(size)])) for t, d, *index in them)

    more.setdefault("kind", "channel")
    return Group(name, size, slices(places), buffers=slices(buffers), sizes=tuple(sizes), **more)


def kept(size, *units):
    """Booleans with only these units kept."""
    row = torch.zeros(size, dtype=torch.bool)
    row[list(units)] = True
    return row
