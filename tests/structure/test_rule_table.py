"""Every rule has a row in the tables of networks."""

from __future__ import annotations

import torch
from torch import nn

from niwaki.structure.axes import Space
from niwaki.structure.record import record
from niwaki.structure.rules import RULES, Site, Tracked, rule_of
from niwaki.structure.rules.contraction import linear
from niwaki.structure.walk import _needed
from tests.structure.nets import example_of
from tests.structure.test_rules import ROWS


def test_every_rule_is_used_by_a_row():
    used = set()
    for row in ROWS.values():
        recording = record(row.make().double(), example_of(row.shape))
        used |= {rule_of(call.op) for _, call in _needed(recording)}
    # torch takes linear apart before it can be seen; some devices do not.
    assert {rule for rule in RULES.values() if rule not in used} <= {linear}


def test_linear_undivided():
    space = Space()
    x = Tracked((space.fresh(2), space.fresh(4)))
    weight = Tracked((space.fresh(3, zero=True, leaf=("w", 0)), space.fresh(4, zero=True, leaf=("w", 1))))
    bias = Tracked((space.fresh(3, zero=True, leaf=("b", 0)),))
    site = Site(
        torch.ops.aten.linear.default,
        {"input": x, "weight": weight, "bias": bias},
        [(2, 3)],
        space,
        "",
        {"": nn.Module()},
    )
    (out,) = linear(site)
    assert out is not None and [axis.size for axis in out] == [2, 3]
    assert out[0].ids is x.axes[0].ids and out[1].ids is weight.axes[0].ids and out[1].zero
    pairs = [(one.tolist(), other.tolist()) for one, other in space.pairs]
    assert pairs == [([2, 3, 4, 5], [9, 10, 11, 12]), ([6, 7, 8], [13, 14, 15])]
    assert space.roles == {("w", 1): "in", ("w", 0): "out", ("b", 0): "bias"}
    assert not space.blurred
