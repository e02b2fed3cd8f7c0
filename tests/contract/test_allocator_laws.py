"""The laws of every allocator. A new one is a new row."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import ErdosRenyi, ErdosRenyiKernel, Global, Patterned, RowWise, Uniform, knapsack
from niwaki.core import BudgetError, SignalError
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
from tests.allocate.nets import distinct_scores, groups_of, lenet, row
from tests.elsewhere import Pretended, pretended

ROWS = {
    "uniform": Uniform(),
    "erdos_renyi": ErdosRenyi(),
    "erdos_renyi_kernel": ErdosRenyiKernel(),
    "erdos_renyi_kernel_half": ErdosRenyiKernel(power=0.5),
    "global": Global(),
    "global_l2": Global(normalise="l2"),
    "global_mean": Global(normalise="mean"),
    "global_zscore": Global(normalise="zscore", min_share=0.05),
    "patterned_rest": Patterned(Global()),
    "rows": RowWise(),
    "rows_erk": RowWise(ErdosRenyiKernel()),
}


def by_units(groups, scores, density):
    """The knapsack where every unit costs one, so that a budget is a count."""
    layers = [Layer(g.name, (Axis(g.size, {g.name: 1}),), lambda k: k) for g in groups]
    cost = NetworkCost(tuple(layers), {g.name: g.size for g in groups})
    return knapsack(groups, scores, Limit(cost, round(density * cost.dense)))


# Bound by the laws that are not about counts: it need not spend its budget, and what is best at one need not nest.
with_the_knapsack = pytest.mark.parametrize("allocator", [*ROWS.values(), by_units], ids=[*ROWS, "knapsack"])
every_allocator = pytest.mark.parametrize("allocator", ROWS.values(), ids=ROWS.keys())

SHAPES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4)


def small_net(shapes):
    return [row(f"g{i}", a * b, shape=(a, b)) for i, (a, b) in enumerate(shapes)]


def lists(keep):
    return {name: mask.tolist() for name, mask in keep.items()}


def reachable(groups, density):
    """The density, raised to where every group can keep one unit or a twentieth."""
    units = sum(g.size for g in groups)
    return max(density, sum(max(1, math.ceil(0.05 * g.size)) for g in groups) / units)


@every_allocator
@settings(max_examples=30)
@given(SHAPES, st.floats(0.01, 1.0), st.integers(0, 1000))
def test_a_count_asked_is_the_count_given(allocator, shapes, density, seed):
    groups = small_net(shapes)
    density = reachable(groups, density)
    keep = allocator(groups, distinct_scores(groups, seed), density)
    assert list(keep) == [g.name for g in groups]
    assert all(keep[g.name].shape == (g.size,) and keep[g.name].dtype == torch.bool for g in groups)
    assert sum(int(mask.sum()) for mask in keep.values()) == round(density * sum(g.size for g in groups))
    assert all(bool(mask.any()) for mask in keep.values())


@every_allocator
@settings(max_examples=30)
@given(SHAPES, st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), st.integers(0, 1000), st.booleans())
def test_kept_units_grow_with_the_density(allocator, shapes, densities, seed, ties):
    groups = small_net(shapes)
    low, high = sorted(reachable(groups, d) for d in densities)
    scores = distinct_scores(groups, seed)
    if ties:
        scores = {name: s // 3 for name, s in scores.items()}
    small, large = allocator(groups, scores, low), allocator(groups, scores, high)
    assert all(bool((large[g.name] | ~small[g.name]).all()) for g in groups)


@with_the_knapsack
def test_pure_and_deterministic(allocator):
    groups = groups_of(lenet())
    scores = {g.name: torch.randn(g.size).round(decimals=1) for g in groups}
    before = copy.deepcopy(scores)
    first, second = allocator(groups, scores, 0.1), allocator(groups, scores, 0.1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    for mask in first.values():
        mask.logical_not_()
    third = allocator(groups, scores, 0.1)
    assert all(torch.equal(third[name], second[name]) for name in third)
    assert all(torch.equal(scores[name], before[name]) for name in before)


def shuffled(allocator, group, generator):
    """An order of the units; where rows are ranked by themselves, units stay in theirs."""
    if not isinstance(allocator, RowWise):
        return torch.randperm(group.size, generator=generator)
    height, width = group.slices[0].shape
    rows, columns = (torch.randperm(size, generator=generator) for size in (height, width))
    return (rows[:, None] * width + columns).flatten()


@with_the_knapsack
@settings(max_examples=30)
@given(SHAPES, st.floats(0.05, 1.0), st.integers(0, 1000))
def test_permuted_units_are_kept_in_permuted_order(allocator, shapes, density, seed):
    groups = small_net(shapes)
    scores = distinct_scores(groups, seed)
    generator = torch.Generator().manual_seed(seed)
    order = {g.name: shuffled(allocator, g, generator) for g in groups}
    density = reachable(groups, density)
    keep = allocator(groups, scores, density)
    permuted = allocator(groups, {name: s[order[name]] for name, s in scores.items()}, density)
    assert all(torch.equal(permuted[name], keep[name][order[name]]) for name in keep)


@with_the_knapsack
@settings(max_examples=30)
@given(SHAPES)
def test_a_density_of_one_keeps_all(allocator, shapes):
    groups = small_net(shapes)
    keep = allocator(groups, {g.name: torch.zeros(g.size) for g in groups}, 1)
    assert all(bool(mask.all()) for mask in keep.values())


@with_the_knapsack
def test_of_equal_scores_the_lower_index_stays(allocator):
    keep = allocator([row("a", 6)], {"a": torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0, 1.0])}, 0.5)
    assert lists(keep) == {"a": [True, True, True, False, False, False]}


@every_allocator
def test_units_that_may_not_be_kept_are_not(allocator):
    groups = [row("a", 8, shape=(2, 4)), row("b", 8, shape=(2, 4))]
    scores = {g.name: torch.arange(8.0) for g in groups}
    for name in scores:
        scores[name][4:] = -math.inf
    keep = allocator(groups, scores, 0.5)
    assert lists(keep) == {"a": [True] * 4 + [False] * 4, "b": [True] * 4 + [False] * 4}
    with pytest.raises(BudgetError, match="may be kept|the groups can keep"):
        allocator(groups, scores, 0.75)


@every_allocator
@pytest.mark.parametrize("density", [0, 1.5, float("nan"), "0.5"])
def test_no_density(allocator, density):
    with pytest.raises(BudgetError, match="density .*(outside|not a number)"):
        allocator([row("a", 6)], {"a": torch.rand(6)}, density)


@with_the_knapsack
def test_scores_that_cannot_be_ranked(allocator):
    groups = [row("a", 4), row("b", 4)]
    good = torch.rand(4)
    for bad in (math.nan, math.inf):
        with pytest.raises(SignalError, match="1 of 4 scores of group 'b' are NaN or"):
            allocator(groups, {"a": good, "b": torch.tensor([1.0, bad, 2.0, 3.0])}, 0.5)
    with pytest.raises(SignalError, match="group 'b' has no scores"):
        allocator(groups, {"a": good}, 0.5)
    with pytest.raises(SignalError, match=r"group 'b' has 4 units, but its scores have shape \(2, 2\)"):
        allocator(groups, {"a": good, "b": torch.rand(2, 2)}, 0.5)


@with_the_knapsack
def test_any_float_will_do(allocator):
    groups = [row("a", 8, shape=(2, 4)), row("b", 8, shape=(2, 4))]
    wide = {g.name: torch.randperm(8).double() for g in groups}
    expected = lists(allocator(groups, wide, 0.5))
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        assert lists(allocator(groups, {name: s.to(dtype) for name, s in wide.items()}, 0.5)) == expected


@pretended
@with_the_knapsack
def test_masks_stay_where_the_scores_are(allocator, place):
    groups = groups_of(lenet())
    scores = {g.name: torch.randn(g.size).round(decimals=1) for g in groups}
    here = allocator(groups, scores, 0.1)
    with Pretended():
        there = allocator(groups, {name: s.to(place) for name, s in scores.items()}, 0.1)
        assert all(there[name].device == place and torch.equal(there[name].cpu(), here[name]) for name in here)


@pytest.mark.accelerator
@with_the_knapsack
def test_masks_stay_on_the_device_and_agree_with_the_cpu(allocator):
    groups = groups_of(lenet())
    scores = {g.name: torch.randn(g.size).round(decimals=1) for g in groups}
    here = allocator(groups, scores, 0.1)
    there = allocator(groups, {name: s.cuda() for name, s in scores.items()}, 0.1)
    assert all(mask.is_cuda for mask in there.values())
    assert all(torch.equal(there[name].cpu(), here[name]) for name in here)
