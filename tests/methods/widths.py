"""A network with two groups of channels, and a cost of its widths written down by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from niwaki.core import Groups
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
from niwaki.structure import channels

from ..train.loops import net

SIZES = {"0": 8, "3": 8}


def staircase(a: int, b: int) -> float:
    """Seconds of the network of `net` with ``a`` and ``b`` channels, in stairs of two: made up, and by hand."""
    first, second = math.ceil(a / 2), math.ceil(b / 2)
    return 2.0 + 1.0 * first + 1.5 * first * second + 0.5 * second


def cost() -> NetworkCost:
    """The same as layers: from 3 to a, from a to b, from b on."""
    stairs = {
        "0": Layer("0", (Axis(8, {"0": 1}),), lambda a: (a + 1) // 2),
        "3": Layer("3", (Axis(8, {"0": 1}), Axis(8, {"3": 1})), lambda a, b: 1.5 * ((a + 1) // 2) * ((b + 1) // 2)),
        "8": Layer("8", (Axis(8, {"3": 1}),), lambda b: 0.5 * ((b + 1) // 2)),
    }
    return NetworkCost(tuple(stairs.values()), SIZES, fixed=2.0, unit="s")


def limit(share: float) -> Limit:
    """A share of the dense cost."""
    return Limit(cost(), share * staircase(8, 8))


def paid(keep: Mapping[str, torch.Tensor]) -> float:
    """What a structure costs, by the formula."""
    return staircase(int(keep["0"].sum()), int(keep["3"].sum()))


def network(seed: int = 0) -> tuple[nn.Sequential, Groups]:
    """The network, with norms that differ from channel to channel, and its groups."""
    model = net(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for norm in (model[1], model[4]):
            norm.weight.copy_(torch.rand(8, generator=generator) + 0.5)
            norm.bias.copy_(torch.rand(8, generator=generator))
    groups = channels(model, torch.zeros(2, 3, 6, 6))
    assert {group.name: group.size for group in groups} == SIZES
    return model, groups
