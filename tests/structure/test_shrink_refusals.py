"""What shrink refuses, and that nothing has changed when it does."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import distributed, nn
from torch.nn.utils import parametrizations

from niwaki.core import BudgetError, Cut, GroupError
from niwaki.structure import apply_cut, blocks, shrink, weights
from tests.structure.cut_nets import NETS, whole_state
from tests.structure.declared import group, kept


def test_a_cut_of_another_model():
    cut = Cut({"0.weight": {0: torch.tensor([0, 5])}}, {}, {"0.weight": (6, 2)})
    with pytest.raises(
        GroupError, match=r"positions of '0.weight' that Sequential does not have \(its shape is \(3, 2\)"
    ):
        apply_cut(nn.Sequential(nn.Linear(2, 3)), cut)
    with pytest.raises(GroupError, match=r"that Linear does not have \(its shape is None\)"):
        apply_cut(nn.Linear(2, 3), cut)


@pytest.mark.parametrize(
    ("keep", "kind", "message"),
    [
        ({"c": kept(6, 1)}, GroupError, "keep names the group 'c', which is not there; groups: a, b"),
        ({"a": kept(5, 1)}, GroupError, r"keep\['a'\] must be 6 booleans, one per unit, not \(5,\) torch.bool"),
        ({"a": torch.ones(6)}, GroupError, r"must be 6 booleans, one per unit, not \(6,\) torch.float32"),
        ({"a": [True] * 6}, GroupError, "must be 6 booleans, one per unit, not list"),
        ({"a": kept(6)}, BudgetError, r"keep\['a'\] removes all 6 units; something must stay"),
        ({"a": kept(6, 0, 1)}, BudgetError, r"keep\['a'\] keeps 2 units, but the group keeps at least 3"),
        ({"a": kept(6, 0, 1, 2)}, BudgetError, r"keep\['a'\] keeps 3 of 6 units, but .* a multiple of 2, or all"),
    ],
)
def test_keep_that_does_not_fit(keep, kind, message):
    model = NETS["mlp"].make()
    places = [("first.weight", 0), ("first.bias", 0), ("second.weight", 1)]
    groups = [group(model, "a", 6, places, multiple_of=2, min_keep=3), NETS["mlp"].groups(model)[1]]
    before = copy.deepcopy(model)
    with pytest.raises(kind, match=message):
        shrink(model, groups, keep, inplace=True)
    assert all(torch.equal(whole_state(model)[name], tensor) for name, tensor in whole_state(before).items())
    assert repr(model) == repr(before)


def test_groups_of_another_model():
    model = NETS["conv"].make()
    groups = NETS["conv"].groups(model)
    keep = {"a": kept(6, 0, 1)}
    small = shrink(model, groups, keep)
    with pytest.raises(GroupError, match=r"'first.weight' had shape \(6, 3, 3, 3\) .* and has \(2, 3, 3, 3\) now"):
        shrink(small, groups, keep)
    model.shift = torch.zeros(2, 1, 1)
    with pytest.raises(
        GroupError, match=r"'shift' had shape \(6, 1, 1\) when the group was made and is \(2, 1, 1\) now"
    ):
        shrink(model, groups, keep)
    del model.shift
    with pytest.raises(GroupError, match="'shift' had shape .* and is gone now"):
        shrink(model, groups, keep)


def test_single_weights_and_blocks_cannot_be_cut_out():
    model = nn.Linear(4, 4)
    for groups in (weights(model), blocks(model, (2, 2))):
        keep = {"weight": kept(groups[0].size, 0)}
        with pytest.raises(GroupError, match="are .*s inside of 'weight': they can be masked, not cut out"):
            shrink(model, groups, keep)


def test_groups_that_would_empty_an_axis_together():
    model = nn.Linear(4, 2, bias=False)
    groups = [group(model, "a", 4, [("weight", 1)]), group(model, "b", 4, [("weight", 1)])]
    with pytest.raises(GroupError, match="the groups together would remove all of axis 1 of 'weight'"):
        shrink(model, groups, {"a": kept(4, 0, 1), "b": kept(4, 2, 3)})


@pytest.mark.parametrize("make", [parametrizations.weight_norm, parametrizations.orthogonal], ids=lambda f: f.__name__)
def test_parametrized_tensors_are_refused(make):
    model = nn.Sequential(make(nn.Linear(4, 4)))
    name = next(n for n, p in model.named_parameters() if "original" in n and p.dim() == 2 and p.shape == (4, 4))
    with pytest.raises(GroupError, match="belongs to a parametrization.*remove_parametrizations"):
        shrink(model, [group(model, "a", 4, [(name, 0)])], {"a": kept(4, 0)})


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")
def test_the_old_weight_norm_and_spectral_norm_are_refused():
    old = nn.utils.weight_norm(nn.Linear(4, 4))
    with pytest.raises(GroupError, match="'weight_v' is under WeightNorm.*remove_weight_norm"):
        shrink(old, [group(old, "a", 4, [("weight_v", 0)])], {"a": kept(4, 0)})
    old = nn.utils.spectral_norm(nn.Linear(4, 4))
    with pytest.raises(GroupError, match="'weight_orig' is under SpectralNorm.*remove_spectral_norm"):
        shrink(old, [group(old, "a", 4, [("weight_orig", 0)])], {"a": kept(4, 0)})


def test_tensors_that_are_not_dense():
    model = nn.Linear(4, 4, bias=False)
    model.weight = nn.Parameter(torch.eye(4).to_sparse())
    with pytest.raises(GroupError, match="'weight' is a Tensor of layout torch.sparse_coo; only dense tensors are cut"):
        shrink(model, [group(model, "a", 4, [("weight", 0)])], {"a": kept(4, 0)})


def test_distributed_wrappers_are_not_cut_from_inside():
    net = NETS["mlp"]
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(net.make())
        groups, keep = net.groups(wrapped.module), {"b": kept(5, 0, 4)}
        with pytest.raises(GroupError, match=r"keeps the old tensors; shrink the model inside \(model.module\)"):
            shrink(wrapped, groups, keep, inplace=True)
        assert wrapped.module.second.out_features == 5
        assert shrink(wrapped, groups, keep).second.out_features == 2
    finally:
        distributed.destroy_process_group()


def test_compiled_parts_are_cut_under_their_plain_names():
    model = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2))
    g = group(model, "a", 6, [("0.weight", 0), ("0.bias", 0), ("1.weight", 1)])
    wanted = shrink(model, [g], {"a": kept(6, 1, 4)})
    model.insert(0, cast(nn.Module, torch.compile(model.pop(0), backend="eager")))
    x = torch.randn(2, 3)
    for inplace in (False, True):
        small = shrink(model, [g], {"a": kept(6, 1, 4)}, inplace=inplace)
        assert torch.equal(small(x), wanted(x))


@pytest.mark.parametrize("place", [-1, 6])
def test_positions_that_an_axis_does_not_have(place):
    model = NETS["mlp"].make()
    whole = NETS["mlp"].groups(model)[0]
    index = torch.arange(6)[:, None].clone()
    index[2] = place
    wrong = replace(whole, slices=(replace(whole.slices[0], index=index), *whole.slices[1:]))
    with pytest.raises(
        GroupError, match="names positions of 'first.weight' that its axis 0 of 6 does not have; make the"
    ):
        shrink(model, [wrong], {whole.name: kept(6, 0, 1)})
