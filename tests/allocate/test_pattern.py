"""N of every M."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.allocate import Global, Patterned, Uniform
from niwaki.core import BudgetError, GroupError, Pattern, SignalError
from tests.allocate.nets import row


@given(st.sampled_from([(1, 2), (2, 4), (1, 4), (3, 5)]), st.integers(1, 4), st.integers(0, 1000), st.booleans())
def test_each_set_keeps_its_best(pattern, sets, seed, ties):
    n, m = pattern
    group = row("w", sets * m, pattern=Pattern(n, m))
    scores = torch.randn(sets * m, generator=torch.Generator().manual_seed(seed))
    scores = scores.round() if ties else scores
    keep = Patterned()([group], {"w": scores}, n / m)["w"].reshape(-1, m)
    for values, mask in zip(scores.reshape(-1, m), keep, strict=True):
        # All choices in the order of their indices: of equally good ones `max` takes the first.
        choices = [(sorted(values[list(chosen)].tolist()), chosen) for chosen in itertools.combinations(range(m), n)]
        best = max(choices, key=lambda choice: choice[0])[1]
        assert mask.nonzero().squeeze(1).tolist() == list(best)


@pytest.mark.parametrize("density", [0.25, 0.502, 0.498, 1.0])
def test_another_density_is_refused(density):
    group = row("w", 8, pattern=Pattern(2, 4))
    with pytest.raises(BudgetError, match=r"cannot be met: the N:M groups keep 4 of 8 units; give density=0\.5"):
        Patterned()([group], {"w": torch.rand(8)}, density)


def test_a_rounded_density_is_understood():
    group = row("w", 3000, pattern=Pattern(1, 3))
    assert int(Patterned()([group], {"w": torch.rand(3000)}, 0.333)["w"].sum()) == 1000


@pytest.mark.parametrize("rest", [Uniform(), Global()])
def test_the_others_share_what_is_left(rest):
    groups = [row("a", 10), row("w", 8, pattern=Pattern(2, 4)), row("b", 6)]
    scores = {g.name: torch.arange(float(g.size)) for g in groups}
    keep = Patterned(rest)(groups, scores, 0.375)  # 9 of 24, 4 of them in w
    assert list(keep) == ["a", "w", "b"]
    assert keep["w"].tolist() == [False, False, True, True] * 2
    assert int(keep["a"].sum()) + int(keep["b"].sum()) == 5
    assert keep["a"][-1]


@given(st.integers(1, 40), st.integers(1, 300))
def test_the_total_is_exact_with_others(sets, size):
    groups = [row("w", 4 * sets, pattern=Pattern(1, 4)), row("a", size)]
    units = 4 * sets + size
    for kept in {sets + 1, sets + (size + 1) // 2, sets + size}:
        keep = Patterned()(groups, {g.name: torch.rand(g.size) for g in groups}, kept / units)
        assert sum(int(k.sum()) for k in keep.values()) == kept


@pytest.mark.parametrize("density", [0.1, 0.9])
def test_no_room_for_the_others(density):
    groups = [row("w", 8, pattern=Pattern(2, 4)), row("a", 2)]
    with pytest.raises(BudgetError, match=r"others hold 2; ask for a density above 0\.4 and at most 0\.6"):
        Patterned()(groups, {g.name: torch.rand(g.size) for g in groups}, density)


def test_without_patterns_it_is_the_inner_one():
    groups = [row("a", 7), row("b", 9)]
    scores = {g.name: torch.rand(g.size) for g in groups}
    ours, theirs = Patterned(Global())(groups, scores, 0.4), Global()(groups, scores, 0.4)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("allocator", [Uniform(), Global()])
def test_other_allocators_refuse_patterns(allocator):
    group = row("w", 8, pattern=Pattern(2, 4))
    with pytest.raises(BudgetError, match=r"group 'w' keeps 2 of every 4 units; wrap the allocator: Patterned"):
        allocator([group], {"w": torch.rand(8)}, 0.5)


def test_too_few_that_may_be_kept():
    scores = torch.tensor([1.0, -math.inf, -math.inf, -math.inf])
    with pytest.raises(BudgetError, match="group 'w' is to keep 2 of every 4 units, but in some of these sets fewer"):
        Patterned()([row("w", 4, pattern=Pattern(2, 4))], {"w": scores}, 0.5)


def test_a_group_that_does_not_divide():
    with pytest.raises(GroupError, match="group 'w' has 6 units, which is not a multiple of 4"):
        Patterned()([row("w", 6, pattern=Pattern(2, 4))], {"w": torch.rand(6)}, 0.5)


def test_scores_are_checked():
    with pytest.raises(SignalError, match="group 'w' has no scores"):
        Patterned()([row("w", 4, pattern=Pattern(2, 4))], {}, 0.5)
