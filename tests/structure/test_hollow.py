"""The copy of a model, against `copy.deepcopy`."""

import copy
from collections import OrderedDict
from functools import partial
from types import MethodType

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.structure.hollow import hollow


class Odd(nn.Module):
    """Everything that a module may hold."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.tied = nn.Linear(3, 4)
        self.tied.weight = self.linear.weight
        self.again = self.norm
        self.rnn = nn.LSTM(4, 2)
        self.sizes, self.more, self.table = [1, 2], (3, "x"), {"a": [4], "b": self.linear}
        self.shared = vars(self.linear)["shared"] = [7]
        self.nothing = vars(self.norm)["nothing"] = {}
        self.listed = [self.linear, nn.ReLU()]
        self.order = OrderedDict(z=1)
        self.call, self.bound = partial(self.linear.extra_repr), MethodType(Odd.describe, self)
        self.plain = torch.ones(2) * nn.Parameter(torch.ones(2))  # no leaf, so that it cannot be copied by itself
        self.register_buffer("hidden", torch.ones(1), persistent=False)
        self.register_parameter("absent", None)
        self.linear.register_forward_hook(print)

    def describe(self):
        return self.sizes


def double_of(model):
    return hollow(model, lambda name, tensor: nn.Parameter(tensor.detach().clone() + 1)
                  if isinstance(tensor, nn.Parameter) else tensor.clone() + 1)  # fmt: skip


def test_names_and_stand_ins():
    model = Odd()
    double, held = double_of(model)
    assert list(held) == [*dict(model.named_parameters()), *dict(model.named_buffers())]
    assert dict(double.named_parameters()).keys() == dict(model.named_parameters()).keys()
    for name, tensor in [*double.named_parameters(), *double.named_buffers()]:
        assert tensor is held[name]
        assert torch.equal(tensor, model.get_parameter(name) + 1 if isinstance(tensor, nn.Parameter)
                           else model.get_buffer(name) + 1)  # fmt: skip


def test_what_is_one_stays_one_and_what_is_the_models_stays_the_models():
    model = Odd()
    double, _ = double_of(model)
    assert double.tied.weight is double.linear.weight
    assert double.again is double.norm
    assert double.shared is double.linear.shared is not model.shared
    assert double.nothing is double.norm.nothing is not model.nothing
    assert double.table["b"] is double.linear is double.listed[0]
    assert double.call.func.__self__ is double.linear
    assert double.bound() is double.sizes is not model.sizes
    assert double.rnn._flat_weights[0] is double.rnn.weight_ih_l0
    assert double.plain.data_ptr() == model.plain.data_ptr()
    own = {id(module) for module in model.modules()}
    assert not any(id(module) in own for module in double.modules())
    double.eval()
    double.linear.register_forward_hook(repr)
    double.norm._buffers["new"] = torch.ones(1)
    assert model.training
    assert len(model.linear._forward_hooks) == 1
    assert "new" not in dict(model.norm.named_buffers())


def plainly(value):
    return type(value).__name__, repr(value) if not isinstance(value, torch.Tensor) else tuple(value.shape)


def test_the_attributes_are_those_that_deepcopy_makes():
    model = Odd()
    del model.plain, model.bound
    wanted = copy.deepcopy(model)
    double, _ = double_of(model)
    for (name, mine), (other, theirs) in zip(double.named_modules(), wanted.named_modules(), strict=True):
        assert (name, type(mine)) == (other, type(theirs))
        keep = [key for key in vars(theirs) if key not in ("_parameters", "_buffers", "call") and "_flat_" not in key]
        assert {k: plainly(vars(mine)[k]) for k in keep} == {k: plainly(vars(theirs)[k]) for k in keep}
        assert list(mine._parameters) == list(theirs._parameters)
        assert mine._non_persistent_buffers_set == theirs._non_persistent_buffers_set


class Own(nn.Module):
    def __deepcopy__(self, memo):
        return "its own way"


def test_a_class_with_a_way_of_its_own_keeps_it():
    assert double_of(nn.Sequential(nn.ReLU()))[0][0] is not None
    outer = nn.Module()
    vars(outer)["holder"] = [Own()]
    outer.add_module("inner", Own())
    double, _ = double_of(outer)
    assert double._modules["inner"] == "its own way" == double.holder[0]


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.lines = (line for line in "ab")


def test_what_cannot_be_copied_is_told():
    with pytest.raises(GroupError, match=r"Stubborn cannot be copied .*generator.*; take off what cannot be copied"):
        double_of(Stubborn())
