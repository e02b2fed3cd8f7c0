"""Shrinking: networks built by hand with the small sizes and weights copied by explicit indexing are the oracle."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from niwaki.core import BudgetError, GroupError, Size, cut_of
from niwaki.structure import blocks, shrink, weights
from tests.structure.declared import cut_at, group, kept

HIDDEN = (("0.weight", 0), ("0.bias", 0), ("2.weight", 1))


def mlp(hidden=6):
    return nn.Sequential(nn.Linear(5, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def same_state(one, other):
    one, other = one.state_dict(), other.state_dict()
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 5), min_size=1))
def test_an_mlp(units):
    model, units = mlp(), sorted(units)
    small = shrink(model, [group(model, "hidden", 6, HIDDEN)], {"hidden": kept(6, *units)})
    oracle = mlp(len(units))
    with torch.no_grad():
        oracle[0].weight.copy_(model[0].weight[units])
        oracle[0].bias.copy_(model[0].bias[units])
        oracle[2].weight.copy_(model[2].weight[:, units])
        oracle[2].bias.copy_(model[2].bias)
    assert same_state(small, oracle)
    assert repr(small) == repr(oracle)
    x = torch.randn(4, 5)
    assert torch.equal(small(x), oracle(x))
