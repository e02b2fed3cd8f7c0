"""Within masked, the model acts as if units were gone; afterwards it is itself again."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.core.gaps import tensors_in
from niwaki.structure import masked
from tests.structure.cut_nets import NETS, by_hand, small_of, whole_state
from tests.structure.declared import group, kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


@every_net
def test_within_masked_the_model_is_the_masked_one(net):
    model, _, groups, keep = small_of(net)
    model.eval()
    x, before = net.example(), copy.deepcopy(whole_state(model))
    wanted = tensors_in(by_hand(model, groups, keep)(*x))
    with masked(model, groups, keep) as same:
        assert same is model
        assert all(torch.equal(wanted[at], tensor) for at, tensor in tensors_in(model(*x)).items())
    assert all(torch.equal(before[name], tensor) for name, tensor in whole_state(model).items())
    with pytest.raises(KeyError), masked(model, groups, keep):
        raise KeyError
    assert all(torch.equal(before[name], tensor) for name, tensor in whole_state(model).items())


def test_going_backwards_from_outside_of_masked_is_loud():
    model, _, groups, keep = small_of(NETS["mlp"])
    with masked(model, groups, keep):
        loss = model(torch.randn(4, 3))["out"].sum()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_units_that_are_nan_are_masked_too():
    model = nn.Linear(2, 2, bias=False)
    nn.init.constant_(model.weight, float("nan"))
    with masked(model, [group(model, "a", 2, [("weight", 0)])], {"a": kept(2)}):
        assert torch.equal(model.weight, torch.zeros(2, 2))
    with (
        pytest.raises(GroupError, match="keep names the group 'b'"),
        masked(model, [group(model, "a", 2, [("weight", 0)])], {"b": kept(2)}),
    ):
        pass
