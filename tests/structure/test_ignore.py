"""What stays whole: what one asks for, inputs and outputs, heads that only training uses, what is not known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.structure import shrink
from niwaki.structure.discover import channels, discover, heads
from tests.structure.nets import Net, described, randomised, run


def residual():
    return Net(
        lambda m, x: m.head(m.stem(x) + m.two(torch.relu(m.one(m.stem(x))))),
        stem=nn.Conv2d(3, 4, 1), one=nn.Conv2d(4, 6, 1), two=nn.Conv2d(6, 4, 1), head=nn.Conv2d(4, 2, 1),
    )  # fmt: skip


X = torch.zeros(2, 3, 4, 4)


def names(model, **more):
    return [group.name for group in discover(model, X, **more)]


def test_all_that_could_go():
    assert names(residual()) == ["stem", "one"]


@pytest.mark.parametrize("asked", ["two", ["two"], "two.*", "two.weight", "*wo.bias", "stem", "[st]*.weight"])
def test_what_is_coupled_to_an_ignored_layer_stays(asked):
    groups = discover(residual(), X, ignore=asked)
    assert [group.name for group in groups] == ["one"]
    assert groups.left_out["two.bias"] == groups.left_out["stem.bias"] == "ignored, as you asked"


def test_a_module_may_be_given():
    model = residual()
    assert names(model, ignore=model.two) == ["one"]
    assert names(model, ignore=[model.one, "stem"]) == []
    assert names(model, ignore=model) == []


def test_a_layer_keeps_its_outputs_not_its_inputs():
    assert names(residual(), ignore="head") == ["stem", "one"]
    assert names(residual(), ignore="one") == ["stem"]


def test_names_that_mean_nothing_are_errors():
    with pytest.raises(GroupError, match="no parameter of the model matches 'tow'; known: stem.weight, stem.bias, one"):
        discover(residual(), X, ignore=["two", "tow"])
    with pytest.raises(GroupError, match="ignore= holds a Linear that is not a module of this model"):
        discover(residual(), X, ignore=nn.Linear(2, 2))


class Helped(nn.Module):
    """A head that only training uses, as in GoogLeNet."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)
        self.aux, self.out = nn.Conv2d(6, 2, 1), nn.Conv2d(4, 2, 1)
        self.unused = nn.Linear(3, 3)

    def forward(self, x):
        h = self.a(x).relu()
        y = self.out(self.b(h))
        return (y, self.aux(h)) if self.training else y


def test_a_head_that_only_training_uses_is_cut_along():
    torch.manual_seed(0)
    model = randomised(Helped())
    groups = discover(model, X.double())
    assert described(groups) == {
        "a": ("channel", 6, "a.bias/0 a.weight/0 aux.weight/1 b.weight/1"),
        "b": ("channel", 4, "b.bias/0 b.weight/0 out.weight/1"),
    }
    assert groups.left_out["unused.weight"] == "not used in the forward pass"
    assert groups.left_out["aux.bias"] == "an output of the model"
    small = shrink(model, groups, {"a": torch.arange(6) < 2}).train()
    assert [tuple(x.shape) for x in run(small, torch.randn(2, 3, 4, 4).double())] == [(2, 2, 4, 4), (2, 2, 4, 4)]


def test_inputs_and_outputs_are_never_cut():
    model = Net(lambda m, x, y: (m.a(x), m.b(y), m.c(x * y)), a=nn.Linear(4, 3), b=nn.Linear(4, 3), c=nn.Linear(4, 3))
    groups = discover(model, (torch.zeros(2, 4), torch.zeros(2, 4)))
    assert len(groups) == 0
    for name in "abc":
        assert groups.left_out[f"{name}.weight"] == "an output of the model; an input of the model"
        assert groups.left_out[f"{name}.bias"] == "an output of the model"


def test_channels_and_heads_are_all_there_is():
    def attend(m, x):
        q, k, v = m.qkv(x).unflatten(-1, (3, m.heads, -1)).movedim(2, 0).transpose(2, 3)
        y = m.proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).flatten(2))
        return m.two(torch.relu(m.one(y)))

    model = Net(attend, qkv=nn.Linear(5, 24), proj=nn.Linear(8, 4), one=nn.Linear(4, 6), two=nn.Linear(6, 2), heads=4)
    x = torch.zeros(2, 3, 5)
    both = discover(model, x)
    only, rest = heads(model, x), channels(model, x)
    assert [group.name for group in only] == ["qkv"]
    assert [group.name for group in rest] == ["proj", "one"]
    assert {group.name for group in both} == {"qkv", "proj", "one"}
    assert only.left_out["one.bias"] == "belongs to channels: nw.channels"
    assert rest.left_out["qkv.weight"] == "belongs to heads: nw.heads"
