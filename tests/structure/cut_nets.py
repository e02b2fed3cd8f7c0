"""Small networks with groups declared by hand, each beside the same network built with the small sizes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from niwaki.structure import shrink
from tests.structure.declared import group, kept


@dataclass(frozen=True)
class Net:
    """How to build a network from its width(s), its groups, its input, and where its small tensors come from.

    ``picks(state, units)`` gives the tensors of the small network by explicit indexing of the dense state.
    """

    make: Callable[..., nn.Module]
    groups: Callable[[nn.Module], list[Any]]
    example: Callable[[], tuple[Any, ...]]
    picks: Callable[[Mapping[str, Any], Mapping[str, list[int]]], dict[str, Any]]


class ConvNet(nn.Module):
    """Convolution, batch norm, residual addition, depthwise convolution, concatenation, a head."""

    def __init__(self, a=6, b=5):
        super().__init__()
        self.first = nn.Conv2d(3, a, 3, padding=1)
        self.norm = nn.BatchNorm2d(a)
        self.branch = nn.Conv2d(a, a, 1, bias=False)
        self.depth = nn.Conv2d(a, a, 3, padding=1, groups=a)
        self.side = nn.Conv2d(3, b, 1)
        self.scale = nn.Parameter(torch.randn(1, b, 1, 1))
        self.register_buffer("shift", torch.randn(a, 1, 1), persistent=False)
        self.head = nn.Linear(a + b, 2)
        nn.init.uniform_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)

    def forward(self, x):
        body = self.norm(self.first(x)).relu()
        body = self.depth(body + self.branch(body)) * (1 + 0 * self.shift)
        both = torch.cat([body, self.side(x) * self.scale], 1)
        return self.head(both.mean((2, 3)))


def conv_groups(model, a=6, b=5):
    body: list[tuple[Any, ...]] = [("first.weight", 0), ("first.bias", 0), ("norm.weight", 0), ("norm.bias", 0)]
    body += [("branch.weight", 0), ("branch.weight", 1), ("depth.weight", 0), ("depth.bias", 0)]
    body += [("head.weight", 1, torch.arange(a)[:, None])]
    side = [("side.weight", 0), ("side.bias", 0), ("scale", 1), ("head.weight", 1, torch.arange(a, a + b)[:, None])]
    stats = [("norm.running_mean", 0), ("norm.running_var", 0), ("shift", 0)]
    return [group(model, "a", a, body, buffers=stats), group(model, "b", b, side)]


def conv_picks(s, units):
    a, b = units["a"], units["b"]
    found = {name: s[name][a] for name in ("first.weight", "first.bias", "norm.weight", "norm.bias", "shift")}
    found |= {name: s[name][a] for name in ("norm.running_mean", "norm.running_var", "depth.weight", "depth.bias")}
    found |= {name: s[name][b] for name in ("side.weight", "side.bias")}
    found["branch.weight"] = s["branch.weight"][a][:, a]
    found["scale"] = s["scale"][:, b]
    found["head.weight"] = s["head.weight"][:, a + [6 + i for i in b]]
    return found


class Words(nn.Module):
    """Embedding, LSTM, a decoder tied to the embedding, and one layer called twice."""

    def __init__(self, a=4, b=6):
        super().__init__()
        self.embed = nn.Embedding(7, a)
        self.lstm = nn.LSTM(a, b, batch_first=True)
        self.twice = nn.Linear(b, b)
        self.back = nn.Linear(b, a)
        self.decode = nn.Linear(a, 7, bias=False)
        self.decode.weight = self.embed.weight

    def forward(self, x):
        out, _ = self.lstm(self.embed(x))
        return self.decode(self.back(self.twice(torch.tanh(self.twice(out)))))


def word_groups(model, a=4, b=6):
    gates = torch.stack([torch.arange(b) + b * i for i in range(4)], 1)
    width = [("embed.weight", 1), ("lstm.weight_ih_l0", 1), ("back.weight", 0), ("back.bias", 0)]
    hidden: list[tuple[Any, ...]] = [
        (f"lstm.{name}_l0", 0, gates) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    hidden += [("lstm.weight_hh_l0", 1), ("back.weight", 1)]
    hidden += [("twice.weight", 0), ("twice.weight", 1), ("twice.bias", 0)]
    return [group(model, "a", a, width), group(model, "b", b, hidden)]


def word_picks(s, units):
    a, b = units["a"], units["b"]
    rows = [6 * gate + i for gate in range(4) for i in b]
    found = {"embed.weight": s["embed.weight"][:, a], "decode.weight": s["decode.weight"][:, a]}
    found |= {f"lstm.{name}_l0": s[f"lstm.{name}_l0"][rows] for name in ("bias_ih", "bias_hh")}
    found["lstm.weight_ih_l0"] = s["lstm.weight_ih_l0"][rows][:, a]
    found["lstm.weight_hh_l0"] = s["lstm.weight_hh_l0"][rows][:, b]
    found |= {"twice.weight": s["twice.weight"][b][:, b], "twice.bias": s["twice.bias"][b]}
    return found | {"back.weight": s["back.weight"][a][:, b], "back.bias": s["back.bias"][a]}


class Mlp(nn.Module):
    """Two hidden layers, and outputs in a dictionary."""

    def __init__(self, a=6, b=5):
        super().__init__()
        self.first = nn.Linear(3, a)
        self.second = nn.Linear(a, b)
        self.third = nn.Linear(b, 2)

    def forward(self, x):
        out = self.third(functional.gelu(self.second(self.first(x).relu())))
        return {"out": out, "pair": (out.argmax(-1), [out.square()])}


def mlp_groups(model, a=6, b=5):
    return [
        group(model, "a", a, [("first.weight", 0), ("first.bias", 0), ("second.weight", 1)]),
        group(model, "b", b, [("second.weight", 0), ("second.bias", 0), ("third.weight", 1)]),
    ]


def mlp_picks(s, units):
    a, b = units["a"], units["b"]
    found = {"first.weight": s["first.weight"][a], "first.bias": s["first.bias"][a]}
    found |= {"second.weight": s["second.weight"][b][:, a], "second.bias": s["second.bias"][b]}
    return found | {"third.weight": s["third.weight"][:, b]}


NETS = {
    "conv": Net(ConvNet, conv_groups, lambda: (torch.randn(2, 3, 5, 5),), conv_picks),
    "words": Net(Words, word_groups, lambda: (torch.randint(7, (2, 5)),), word_picks),
    "mlp": Net(Mlp, mlp_groups, lambda: (torch.randn(4, 3),), mlp_picks),
}


def whole_state(model):
    """Every parameter and buffer under every name it has, non-persistent buffers too."""
    state = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    return {name: tensor.detach() for name, tensor in state.items()}


def oracle(net, model, units):
    """The network built small, with the dense tensors indexed by hand."""
    small = net.make(**{name: len(those) for name, those in units.items()}).train(model.training)
    state = whole_state(model)
    found = net.picks(state, units)
    with torch.no_grad():
        for name, tensor in whole_state(small).items():
            tensor.copy_(found.get(name, state[name]))
    return small


def small_of(net):
    """A network, what shrink makes of it, its groups, and the units kept."""
    torch.manual_seed(0)
    model = net.make()
    groups = net.groups(model)
    keep = {"a": kept(groups[0].size, 0, 3), "b": kept(groups[1].size, 1, 2, 4)}
    return model, shrink(model, groups, keep), groups, keep


def by_hand(model, groups, keep):
    """A copy with the removed units' slices at zero, one unit at a time."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for g in groups:
            for where in g.slices:
                for unit in (~keep[g.name]).nonzero().flatten():
                    model.get_parameter(where.tensor).index_fill_(where.dim, where.index[unit], 0)
    return model
