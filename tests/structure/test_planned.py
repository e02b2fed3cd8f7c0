"""What a choice comes to is what the shrunk model has; every tensor that stays whole has its reason."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from niwaki.allocate import Patterned, ranked
from niwaki.core import BudgetError, Groups
from niwaki.measure import count_flops
from niwaki.structure import blocks, n_of_m, outcome, parameters_left, shrink, weights, zeroed
from tests.structure.cut_nets import NETS
from tests.structure.declared import group, kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


def size_of(model):
    return sum(p.numel() for p in model.parameters())


@every_net
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_foretold_is_what_comes_out(net, seed):
    generator = torch.Generator().manual_seed(seed)
    model = net.make()
    groups = net.groups(model)
    keep = {g.name: torch.rand(g.size, generator=generator) < 0.5 for g in groups}
    for row in keep.values():
        row[0] = True
    small = shrink(model, groups, keep)
    found = outcome(model, groups, keep)
    assert found.parameters == (size_of(model), size_of(small))
    assert found.units == (sum(g.size for g in groups), sum(int(row.sum()) for row in keep.values()))
    assert {t.name: t.after for t in found.tensors} == {n: tuple(p.shape) for n, p in small.named_parameters()}
    assert sum(after for _, after in found.layers.values()) == size_of(small)
    assert parameters_left(model, groups)(keep) == size_of(small)


def test_counts_by_hand():
    model = NETS["mlp"].make()  # 3 -> 6 -> 5 -> 2
    groups = NETS["mlp"].groups(model)
    keep = {"a": kept(6, 0, 1, 4), "b": kept(5, 2, 3)}
    found = outcome(model, groups, keep, density=0.5, count=lambda m: count_flops(m, (torch.zeros(1, 3),)).total / 2)
    assert found.layers == {"first": (24, 12), "second": (35, 8), "third": (12, 6)}  # 3 * 3 + 3, 3 * 2 + 2, 2 * 2 + 2
    assert found.parameters == (71, 26)
    assert found.units == (11, 5)
    assert found.counted == pytest.approx((18 + 30 + 10, 9 + 6 + 4))
    assert [(g.name, g.kind, g.units, g.kept, g.exact) for g in found.groups] == [
        ("a", "channel", 6, 3, True),
        ("b", "channel", 5, 2, True),
    ]
    assert str(found).splitlines() == [
        "units       5 of 11 stay (density 0.4545, asked 0.5)",
        "parameters  71 -> 26 (0.3662)",
        "counted     58 -> 19 (0.3276)",
        "untouched   1 of 6 tensors",
        "  third.bias: no group lies in it",
    ]
    assert found.density == 5 / 11


def test_reasons_for_what_stays_whole():
    model = NETS["mlp"].make()
    groups = Groups(tuple(NETS["mlp"].groups(model)), {"third.bias": "the model's output"})
    assert outcome(model, groups, {"b": kept(5, 0, 1)}).untouched == {
        "first.weight": "all units of 'a' stay",
        "first.bias": "all units of 'a' stay",
        "third.bias": "the model's output",
    }


def test_inexact_groups_are_told_and_long_lists_are_cut_short():
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(10)))
    places = [("0.weight", 0), ("0.bias", 0), ("1.weight", 1)]
    text = str(outcome(model, [group(model, "a", 4, places, exact=False)], {"a": kept(4, 0)}))
    assert "inexact     a: a norm runs over the cut axis, masking and removing differ" in text
    assert text.endswith("and 5 more")  # of 17 whole tensors 12 are shown


def test_a_choice_that_removes_nothing_is_an_error():
    model = NETS["mlp"].make()
    groups = Groups(tuple(NETS["mlp"].groups(model)), {"third.bias": "the model's output"})
    message = r"a density of 0.9 was asked for, but keep removes none of the 11 units.*third.bias: the model's output"
    with pytest.raises(BudgetError, match=message):
        outcome(model, groups, {"a": torch.ones(6, dtype=torch.bool)}, density=0.9)
    assert outcome(model, groups, {}, density=1.0).parameters == (71, 71)


@every_net
@pytest.mark.parametrize("density", [0.3, 0.5, 0.9])
def test_a_share_of_the_parameters(net, density):
    torch.manual_seed(0)
    model = net.make()
    groups = net.groups(model)
    scores = {g.name: torch.rand(g.size) for g in groups}
    keep = ranked(groups, scores, density=density, cost=parameters_left(model, groups))
    small, whole = size_of(shrink(model, groups, keep)), size_of(model)
    assert small <= density * whole
    # One unit more, the best of those that went, would be too many.
    best = max(
        (float(scores[g.name][u]), g.name, u) for g in groups for u in (~keep[g.name]).nonzero().flatten().tolist()
    )
    keep[best[1]][best[2]] = True
    assert size_of(shrink(model, groups, keep)) > density * whole


def test_tied_parameters_count_once_and_models_may_be_wrapped():
    model = NETS["words"].make()
    groups = NETS["words"].groups(model)
    keep = {"a": kept(4, 0)}
    assert outcome(torch.compile(model), groups, keep).parameters == (
        size_of(model),
        size_of(shrink(model, groups, keep)),
    )


def test_single_weights_leave_zeros_which_are_counted_and_named():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    groups = weights(model)
    keep = {"0.weight": kept(12, 0, 5, 7), "2.weight": torch.ones(6, dtype=torch.bool)}
    found = outcome(model, groups, keep, density=0.5, count=lambda m: float(m[0].weight.count_nonzero()))
    assert found.parameters == (23, 14)
    assert found.zeros == 9
    assert found.layers == {"0": (15, 6), "2": (8, 8)}
    assert found.counted == (12.0, 3.0)
    assert {tensor.name: tensor.after for tensor in found.tensors} == {n: p.shape for n, p in model.named_parameters()}
    assert str(found).splitlines() == [
        "units       9 of 18 stay (density 0.5, asked 0.5)",
        "parameters  23 -> 14 (0.6087)",
        "zeros       9 have their places still: tensors keep their shapes",
        "counted     12 -> 3 (0.25)",
        "untouched   3 of 4 tensors",
        "  0.bias: a vector (bias, norm); name it in also= to prune it",
        "  2.weight: all units of '2.weight' stay",
        "  2.bias: a vector (bias, norm); name it in also= to prune it",
    ]
    with pytest.raises(BudgetError, match="keep removes none of the 18 units"):
        outcome(model, groups, {}, density=0.9)


@pytest.mark.parametrize("density", [0.5, 0.25])
def test_blocks_and_patterns_come_to_what_is_not_zero(density):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, 3, bias=False), nn.ReLU(), nn.Conv2d(6, 5, 1, bias=False))
    for groups in (blocks(model, (2, 3)), n_of_m(model, round(2 * density), 2) if density == 0.5 else weights(model)):
        keep = Patterned()(groups, {g.name: torch.rand(g.size) for g in groups}, density)
        left = sum(int(p.count_nonzero()) for p in zeroed(model, groups, keep).parameters())
        assert outcome(model, groups, keep).parameters == (size_of(model), left)
