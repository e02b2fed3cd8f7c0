"""Shrinking: networks built with the small sizes, weights copied by explicit indexing, are the oracle."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils._pytree import tree_leaves

from niwaki.core import Group, GroupError, Slice, cut_of
from niwaki.structure import apply_cut, shrink
from tests.structure.cut_nets import NETS, oracle, whole_state
from tests.structure.declared import cut_at, group, kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


def chosen(groups, seed):
    """Some units of each group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    units = {}
    for g in groups:
        count = int(torch.randint(1, g.size + 1, (), generator=generator))
        units[g.name] = sorted(torch.randperm(g.size, generator=generator)[:count].tolist())
    return units, {g.name: kept(g.size, *units[g.name]) for g in groups}


def assert_same(one, other):
    one, other = whole_state(one), whole_state(other)
    assert list(one) == list(other)
    for name in one:
        assert torch.equal(one[name], other[name]), name


@every_net
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), inplace=st.booleans())
def test_what_comes_out_is_the_network_built_small(net, seed, inplace):
    torch.manual_seed(seed)
    model = net.make()
    groups = net.groups(model)
    units, keep = chosen(groups, seed)
    wanted, before = oracle(net, model, units), copy.deepcopy(model)
    small = shrink(model, groups, keep, inplace=inplace)
    assert (small is model) == inplace
    assert type(small) is type(model)
    assert_same(small, wanted)
    assert repr(small) == repr(wanted)
    args = net.example()
    for train in (False, True):
        outs = [tree_leaves(each.train(train)(*args)) for each in (small, wanted)]
        assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))
    if not inplace:
        assert_same(model, before)
        assert repr(model) == repr(before)


@every_net
def test_a_masked_model_is_its_small_one(net):
    torch.manual_seed(1)
    model = net.make().double().eval()
    groups = net.groups(model)
    _, keep = chosen(groups, 5)
    small = shrink(model, groups, keep)
    with torch.no_grad():
        for g in groups:
            for where in g.slices:  # by hand: the slices of removed units, nothing else
                tensor = model.get_parameter(where.tensor)
                for unit in (~keep[g.name]).nonzero().flatten():
                    tensor.index_fill_(where.dim, where.index[unit], 0)
    x = [a.double() if a.is_floating_point() else a for a in net.example()]
    for a, b in zip(tree_leaves(small(*x)), tree_leaves(model(*x)), strict=True):
        torch.testing.assert_close(a, b)


@every_net
def test_tied_tensors_stay_tied_and_shared_modules_shared(net):
    model = net.make()
    groups = net.groups(model)
    for inplace in (False, True):
        names = [n for n, _ in model.named_parameters()]
        small = shrink(model, groups, {groups[0].name: kept(groups[0].size, 1, 3)}, inplace=inplace)
        assert [n for n, _ in small.named_parameters()] == names
        groups = net.groups(model) if not inplace else groups


def test_units_that_no_entry_names_stay():
    net = NETS["mlp"]
    model = net.make()
    groups = net.groups(model)
    small = shrink(model, groups, {"b": kept(5, 0, 4)})
    assert_same(small, oracle(net, model, {"a": list(range(6)), "b": [0, 4]}))
    assert_same(shrink(model, groups, {}), model)
    assert_same(shrink(model, groups, {"a": torch.ones(6, dtype=torch.bool)}), model)


def test_several_groups_on_one_axis_and_several_positions_per_unit():
    model = nn.Linear(8, 2, bias=False)
    pairs = torch.tensor([[0, 7], [1, 6]])
    groups = [
        group(model, "outer", 2, [("weight", -1, pairs)]),
        group(model, "inner", 3, [("weight", 1, [[2], [3], [5]])]),
    ]
    small = shrink(model, groups, {"outer": kept(2, 1), "inner": kept(3, 0, 2)})
    assert torch.equal(small.weight, model.weight[:, [1, 2, 4, 5, 6]])


def test_tensors_keep_what_they_are():
    model = NETS["conv"].make().to(memory_format=torch.channels_last).to(torch.bfloat16)
    model.first.bias.requires_grad_(False)
    for parameter in model.parameters():
        parameter.no_weight_decay = True
    small = shrink(model, NETS["conv"].groups(model), {"a": kept(6, 0, 1, 4, 5), "b": kept(5, 1, 2)})
    # The tensors that are cut have the marks of the old ones, and so have those that stay whole.
    assert any(small.get_parameter(n).shape == p.shape for n, p in model.named_parameters())
    assert all(p.no_weight_decay for p in small.parameters())
    assert all(p.dtype == torch.bfloat16 and type(p) is nn.Parameter for p in small.parameters())
    assert small.first.weight.is_contiguous(memory_format=torch.channels_last)
    assert not small.first.weight.is_contiguous()
    assert [n for n, p in small.named_parameters() if not p.requires_grad] == ["first.bias"]
    assert "shift" not in small.state_dict() and small.shift.shape == (4, 1, 1)
    assert small.first.weight.untyped_storage().nbytes() == small.first.weight.numel() * 2


def test_gradients_are_cut_along_in_place():
    model = NETS["mlp"].make()
    model(torch.randn(4, 3))["out"].sum().backward()
    wanted = model.second.weight.grad[[0, 4]]
    shrink(model, NETS["mlp"].groups(model), {"b": kept(5, 0, 4)}, inplace=True)
    assert torch.equal(model.second.weight.grad, wanted)
    assert model.first.weight.grad is not None


@every_net
@pytest.mark.parametrize("inplace", [False, True])
def test_a_model_cut_twice_knows_its_dense_self(net, inplace):
    model = net.make()
    first = {"a": kept(len(net.groups(model)[0].slices[0].index), 0, 2, 3)}
    once = shrink(model, net.groups(model), first)
    sizes = {"a": 3}
    last = {"a": kept(3, 0, 2), "b": kept(5 if net is not NETS["words"] else 6, 1, 4)}
    twice = shrink(once, net.groups(once, **sizes), last, inplace=inplace)
    assert_same(twice, oracle(net, model, {"a": [0, 3], "b": [1, 4]}))
    cut = cut_of(twice)
    assert all(cut.shapes[name] == tuple(whole_state(model)[name].shape) for name in cut.kept)
    rebuilt = apply_cut(model, cut)
    assert_same(rebuilt, twice)
    assert repr(rebuilt) == repr(twice)
    assert not cut_of(model).kept


def test_a_group_of_odd_size_may_stay_whole():
    model = nn.Linear(3, 5)
    g = group(model, "a", 5, [("weight", 0), ("bias", 0)], multiple_of=2, min_keep=9)
    assert shrink(model, [g], {"a": torch.ones(5, dtype=torch.bool)}).out_features == 5


def test_wrappers_are_left_off():
    net = NETS["mlp"]
    model = net.make()
    groups, keep = net.groups(model), {"b": kept(5, 0, 4)}
    wanted = shrink(model, groups, keep)
    for wrapped in (torch.compile(model), AveragedModel(model), nn.DataParallel(model)):
        small = shrink(wrapped, groups, keep)
        assert type(small) is type(model)
        assert_same(small, wanted)
    compiled = torch.compile(model)
    assert shrink(compiled, groups, keep, inplace=True) is compiled
    assert_same(model, wanted)


def test_a_model_that_cannot_be_copied():
    model = nn.Linear(4, 4)
    vars(model)["drawn"] = (x for x in "ab")
    groups, keep = [group(model, "a", 4, [("weight", 0), ("bias", 0)])], {"a": kept(4, 0)}
    with pytest.raises(GroupError, match="Linear cannot be copied .*use inplace=True"):
        shrink(model, groups, keep)
    assert shrink(model, groups, keep, inplace=True).out_features == 1


def test_what_is_thrown_away_is_never_copied(monkeypatch):
    model = nn.Linear(1000, 1000)
    seen = []
    whole = nn.Parameter.__deepcopy__

    def noted(self, memo):
        seen.append(self.shape)
        return whole(self, memo)

    monkeypatch.setattr(nn.Parameter, "__deepcopy__", noted)
    shrink(model, [group(model, "a", 1000, [("weight", 0), ("bias", 0)])], {"a": kept(1000, 7)})
    assert seen == []


def test_models_without_memory_are_cut_too():
    with torch.device("meta"):
        model = NETS["words"].make()
    small = shrink(model, NETS["words"].groups(model), {"b": kept(6, 0, 4)})
    assert small.lstm.weight_hh_l0.is_meta and small.lstm.weight_hh_l0.shape == (8, 2)
    assert small.decode.weight is small.embed.weight


@pytest.mark.accelerator
@every_net
def test_on_the_accelerator_as_on_the_cpu(net):
    model = net.make().cuda()
    groups = net.groups(model)
    units, keep = chosen(groups, 3)
    small = shrink(model, groups, keep)
    assert all(tensor.is_cuda for tensor in whole_state(small).values())
    wanted = oracle(net, model.cpu(), units)
    assert_same(small.cpu(), wanted)


def test_slices_of_a_buffer_may_be_declared_by_hand():
    model = nn.BatchNorm1d(4, affine=False)
    holder = nn.Sequential(nn.Linear(2, 4), model)
    where = cut_at(holder, "1.running_mean", 0, torch.arange(4))
    assert where.shape == (4,)
    g = group(holder, "a", 4, [("0.weight", 0), ("0.bias", 0)], buffers=[("1.running_mean", 0), ("1.running_var", 0)])
    small = shrink(holder, [g], {"a": kept(4, 1, 2)})
    assert small[1].num_features == 2
    assert small(torch.randn(3, 2)).shape == (3, 2)


class Keeping(nn.Module):
    """Keeps what it made of a parameter for the next pass in evaluation mode, and drops it when trained."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.table = nn.Linear(5, 4), nn.Linear(4, 2), nn.Parameter(torch.randn(4))
        self.kept = {}

    def train(self, mode=True):
        super().train(mode)
        if mode:
            self.kept = {}
        return self

    def forward(self, x):
        if self.training or "table" not in self.kept:
            self.kept["table"] = self.table.sigmoid()
        return self.b(self.a(x) * self.kept["table"])


@pytest.mark.parametrize("inplace", [False, True])
def test_what_a_module_kept_of_its_whole_tensors_is_dropped(inplace):
    torch.manual_seed(0)
    model = nn.Sequential(Keeping(), nn.Dropout()).eval()
    model[1].training = True  # each module has a mode of its own
    x = torch.randn(3, 5)
    with torch.no_grad():
        wanted_all = model[0](x)
    rows = torch.arange(4)[:, None]
    slices = [Slice(f"0.{name}", tuple(model.get_parameter(f"0.{name}").shape), dim, rows)
              for name, dim in (("a.weight", 0), ("a.bias", 0), ("table", 0), ("b.weight", 1))]  # fmt: skip
    one, keep = Group("a", 4, tuple(slices), kind="channel"), {"a": torch.tensor([True, False, True, False])}
    with torch.no_grad():
        h = (x @ model[0].a.weight.T + model[0].a.bias) * model[0].table.sigmoid()
        wanted = h[:, [0, 2]] @ model[0].b.weight[:, [0, 2]].T + model[0].b.bias
    small = shrink(model, [one], keep, inplace=inplace)
    torch.testing.assert_close(small[0](x), wanted)
    assert (small.training, small[0].training, small[1].training) == (False, False, True)
    assert inplace or torch.equal(model[0](x), wanted_all)
