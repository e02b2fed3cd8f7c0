"""Training a little: a run that is cut, and its twin that is only masked."""

from __future__ import annotations

import copy

import torch
from torch.utils._pytree import tree_leaves

from tests.structure.declared import kept


def zero(model, groups, keep):
    with torch.no_grad():
        for g in groups:
            for where in g.slices:
                for unit in (~keep[g.name]).nonzero().flatten():
                    model.get_parameter(where.tensor).index_fill_(where.dim, where.index[unit], 0)


def one_step(model, optimizer, x):
    optimizer.zero_grad()
    sum(leaf.square().mean() for leaf in tree_leaves(model(*x)) if leaf.is_floating_point()).backward()
    optimizer.step()


def at_kept(groups, keep, name, tensor):
    """The live positions of a dense tensor, axis by axis."""
    for axis in range(tensor.dim()):
        live = torch.ones(tensor.shape[axis], dtype=torch.bool)
        for g in groups:
            for where in (*g.slices, *g.buffers):
                if where.tensor == name and where.dim == axis:
                    live[where.index[~keep[g.name]].flatten()] = False
        tensor = tensor.index_select(axis, live.nonzero().flatten())
    return tensor


def trained(net, make, steps=3):
    torch.manual_seed(0)
    model = net.make().double()
    groups = net.groups(model)
    keep = {"a": kept(groups[0].size, 0, 2, 3), "b": kept(groups[1].size, 1, 4)}
    optimizer = make(model.parameters())
    x = [a.double() if a.is_floating_point() else a for a in net.example()]
    for _ in range(steps):
        one_step(model, optimizer, x)
    return model, groups, keep, optimizer, x


def masked_twin(model, groups, keep, optimizer, make):
    """The run that is never cut: the same weights and state, removed units zeroed."""
    twin = copy.deepcopy(model)
    other = make(twin.parameters())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    zero(twin, groups, keep)
    return twin, other
