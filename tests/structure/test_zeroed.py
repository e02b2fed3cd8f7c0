"""One-shot pruning of single weights, blocks and patterns: a copy with zeros, as torch's own pruning makes it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import niwaki as nw
from niwaki.core import GroupError
from tests.structure.cut_nets import NETS, by_hand, small_of, whole_state


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 12))


def state_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, other[name]), name


def torch_pruned(model, how, amount):
    """What torch.nn.utils.prune leaves of the weights of convolutions and linear layers."""
    model = copy.deepcopy(model)
    layers = [(m, "weight") for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    if how == "global":
        prune.global_unstructured(layers, prune.L1Unstructured, amount=amount)
    for layer, name in layers:
        if how == "layer":
            prune.l1_unstructured(layer, name, amount=amount)
        prune.remove(layer, name)
    return model


@pytest.mark.parametrize("density", [0.75, 0.5, 0.125])
@pytest.mark.parametrize(("how", "allocator"), [("global", nw.Global()), ("layer", nw.Uniform())])
def test_the_smallest_weights_go_as_in_torch(how, allocator, density):
    model = network()
    groups = nw.weights(model)
    keep = allocator(groups, nw.score(nw.Magnitude(), model, groups), density)
    assert_same(state_of(nw.zeroed(model, groups, keep)), state_of(torch_pruned(model, how, 1 - density)))


@pytest.mark.parametrize("make", [nw.weights, lambda m: nw.blocks(m, (2, 2)), lambda m: nw.n_of_m(m, 1, 2)])
def test_every_kind_of_units_has_zeros_where_it_went_and_its_numbers_where_it_stayed(make):
    model = network()
    groups = make(model)
    torch.manual_seed(1)
    keep = nw.Patterned()(groups, {g.name: torch.rand(g.size) for g in groups}, 0.5)
    before, masks = state_of(model), nw.tensor_masks(groups, keep)
    after = state_of(nw.zeroed(model, groups, keep))
    for name, tensor in after.items():
        stays = masks.get(name, torch.ones_like(tensor, dtype=torch.bool))
        assert torch.equal(tensor[stays], before[name][stays])
        assert not tensor[~stays].any()
    assert_same(before, state_of(model))


@pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())
def test_channels_may_be_zeroed_too(net):
    model, _, groups, keep = small_of(net)
    wanted, before = whole_state(by_hand(model, groups, keep)), copy.deepcopy(whole_state(model))
    found = nw.zeroed(model, groups, keep)
    assert_same(dict(wanted), dict(whole_state(found)))
    assert_same(dict(before), dict(whole_state(model)))


def test_in_place_it_is_the_model_itself_and_wrappers_come_off_a_copy():
    model = network()
    groups = nw.weights(model)
    keep = nw.ranked(groups, nw.score(nw.Magnitude(), model, groups), density=0.3)
    wanted = state_of(nw.zeroed(model, groups, keep))
    wrapped = torch.compile(copy.deepcopy(model))
    assert_same(wanted, state_of(nw.zeroed(wrapped, groups, keep)))
    assert nw.zeroed(wrapped, groups, keep, inplace=True) is wrapped
    assert_same(wanted, state_of(wrapped._orig_mod))


def test_ties_precision_and_marks_stay():
    model = nn.ModuleDict({"words": nn.Embedding(6, 4), "head": nn.Linear(4, 6, bias=False)}).to(torch.bfloat16)
    model["head"].weight = model["words"].weight
    model["words"].weight.no_decay = True
    model["words"].weight.requires_grad_(False)
    groups = nw.weights(model, also=["words.weight"])
    (group,) = groups
    found = nw.zeroed(model, groups, {group.name: torch.arange(24) % 2 == 0})
    assert found["head"].weight is found["words"].weight
    assert found["words"].weight.dtype == torch.bfloat16
    assert found["words"].weight.no_decay
    assert not found["words"].weight.requires_grad
    assert int(found["words"].weight.count_nonzero()) == 12


def test_weights_that_are_infinite_or_no_number_go_too():
    model = nn.Linear(2, 2, bias=False)
    nn.init.constant_(model.weight, float("nan"))
    groups = nw.weights(model)
    assert torch.equal(nw.zeroed(model, groups, {"weight": torch.zeros(4, dtype=torch.bool)}).weight, torch.zeros(2, 2))


def test_a_fixed_structure_holds_the_zeros_while_it_is_tuned():
    model = network()
    groups = nw.weights(model)
    keep = nw.Uniform()(groups, nw.score(nw.Magnitude(), model, groups), 0.25)
    sparse = nw.zeroed(model, groups, keep)
    optimizer = torch.optim.SGD(sparse.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    nw.Sparsifier(sparse, groups, nw.Plan(keep)).attach(optimizer)
    before = state_of(sparse)
    for _ in range(3):
        optimizer.zero_grad()
        sparse(torch.randn(4, 3, 6, 6)).square().sum().backward()
        optimizer.step()
    for name, mask in nw.tensor_masks(groups, keep).items():
        weight = sparse.state_dict()[name]
        assert not weight[~mask].any()
        assert bool((weight[mask] != before[name][mask]).all())


def test_what_does_not_belong_together_is_refused_and_nothing_is_touched():
    model = network()
    groups, before = nw.weights(model), state_of(model)
    whole = {g.name: torch.zeros(g.size, dtype=torch.bool) for g in groups}
    with pytest.raises(GroupError, match="keep names the group '9.weight'"):
        nw.zeroed(model, groups, whole | {"9.weight": whole["0.weight"]}, inplace=True)
    with pytest.raises(GroupError, match="make the groups anew after changing the model"):
        nw.zeroed(nn.Sequential(nn.Conv2d(3, 4, 3)), groups, whole, inplace=True)
    with pytest.raises(GroupError, match=r"nw\.zeroed\(model, groups, keep\) puts zeros in their places"):
        nw.shrink(model, groups, {"0.weight": torch.arange(216) < 9})
    assert_same(before, state_of(model))


def test_what_cannot_be_copied_says_so():
    class Holding(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("a lock cannot be copied")

    model = Holding(2, 2)
    groups = nw.weights(model)
    keep = {"weight": torch.tensor([True, False, True, True])}
    with pytest.raises(GroupError, match="Holding cannot be copied .a lock cannot be copied.; use inplace=True"):
        nw.zeroed(model, groups, keep)
    assert int(nw.zeroed(model, groups, keep, inplace=True).weight.count_nonzero()) == 3


def test_verify_tells_zeros_in_the_right_places_from_others():
    model = network()
    groups, x = nw.weights(model), torch.randn(4, 3, 6, 6)
    keep = nw.Uniform()(groups, nw.score(nw.Magnitude(), model, groups), 0.25)
    found = nw.zeroed(model, groups, keep)
    verdict = nw.verify(model, found, groups, keep, x)
    assert verdict
    assert verdict.difference == 0
    assert "masked model and the one with zeros agree" in str(verdict)
    with torch.no_grad():
        found[4].weight[~keep["4.weight"].view(12, 128)] = 0.1
    wrong = nw.verify(model, found, groups, keep, x)
    assert not wrong
    assert wrong.where == "4"
    few = keep["0.weight"].clone()
    few[int((~few).nonzero()[0])] = True  # a unit less than is zero
    assert not nw.verify(model, nw.zeroed(model, groups, keep), groups, keep | {"0.weight": few}, x)


@pytest.mark.parametrize(
    "call",
    [nw.outcome, nw.zeroed, lambda model, groups, keep: nw.verify(model, model, groups, keep, torch.zeros(1, 3, 6, 6))],
)
def test_arguments_in_another_order_are_named(call):
    model = network()
    groups = nw.weights(model)
    keep = {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}
    with pytest.raises(GroupError, match="groups are needed, such as niwaki.weights"):
        call(model, keep, groups)
