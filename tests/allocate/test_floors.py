"""A floor under every group is held by all that choose, and by what trains."""

from fractions import Fraction
from math import ceil

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import BudgetError, Group, Groups
from niwaki.core.group import Pattern


@pytest.mark.parametrize("share", ["0", "0.07", "0.1", "0.29", "1/3", "0.5", "1"])
def test_floors_are_the_shares_rounded_up(share):
    """Against exact fractions: floats make 0.07 of 100 a little more than 7."""
    exact = Fraction(share)
    groups = [Group(str(n), n, ()) for n in range(1, 130)]
    for group in nw.at_least(groups, float(exact)):
        assert group.min_keep == max(1, ceil(exact * group.size))


def test_what_stays_as_it_is():
    groups = Groups((Group("high", 10, (), min_keep=7), Group("2:4", 8, (), pattern=Pattern(2, 4))), {"w": "why"})
    floored = nw.at_least(groups, 0.5)
    assert [group.min_keep for group in floored] == [7, 1]
    assert floored.left_out == {"w": "why"}
    assert [group.min_keep for group in groups] == [7, 1]


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), "half", True, None])
def test_no_share(share):
    with pytest.raises(BudgetError, match="cannot stay; give a share from 0 to 1, such as 0.1"):
        nw.at_least([Group("a", 4, ())], share)


def _net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 3))
    x = torch.randn(8, 6)
    return model, nw.channels(model, x), x


def test_all_that_choose_hold_it():
    """By scores the first group loses everything; a floor of 0.3 keeps 6 of its 20 units."""
    model, groups, x = _net()
    scores = {g.name: torch.rand(g.size) * 0.01 + i for i, g in enumerate(groups)}
    budget = nw.Macs(0.25, nw.counted(model, x).macs)
    chosen = {
        "knapsack": lambda g: nw.knapsack(g, scores, budget),
        "greedy": lambda g: nw.knapsack(g, scores, budget, method="greedy"),
        "ranked": lambda g: nw.ranked(g, scores, density=0.4),
        "global": lambda g: nw.Global()(g, scores, 0.4),
    }
    first, second = (group.name for group in groups)
    for name, choose in chosen.items():
        assert int(choose(groups)[first].sum()) < 6, name
        kept = {key: int(row.sum()) for key, row in choose(nw.at_least(groups, 0.3)).items()}
        assert kept[first] >= 6, name
        assert kept[second] >= 9, name
    uniform = nw.uniform_width(nw.at_least(groups, 0.3), scores, budget)
    assert int(uniform[first].sum()) >= 6


def test_a_budget_below_the_floors_is_refused():
    model, groups, x = _net()
    scores = {g.name: torch.rand(g.size) for g in groups}
    prices = nw.counted(model, x).macs
    with pytest.raises(BudgetError, match="the budget cannot be met: .* min_keep"):
        nw.knapsack(nw.at_least(groups, 0.9), scores, nw.Macs(0.5, prices))


@pytest.mark.parametrize("method", ["iee", "halp", "smcp"])
def test_training_within_a_budget_holds_it(method):
    model, groups, x = _net()
    budget = nw.Macs(0.5, nw.counted(model, x).macs)
    make = {
        "iee": lambda g: nw.iee(model, g, budget=budget, steps=40, H=4, J=2, Q=2),
        "halp": lambda g: nw.halp(model, g, budget=budget, steps=40, every=2, events=8),
        "smcp": lambda g: nw.smcp(model, g, budget=budget, steps=40, every=4),
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = make[method](nw.at_least(groups, 0.4)).attach(optimizer)
    y = torch.arange(8) % 3
    seen = []
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seen.append([int(row.sum()) for row in sparsifier.keep.values()])
    assert min(a for a, _ in seen) >= 8
    assert min(b for _, b in seen) >= 12
    assert seen[-1] != [20, 30]
    small = nw.shrink(model, groups, sparsifier.keep)  # the groups as they were fit the choice
    assert nw.counted(small, x).macs.cost([]).dense <= 0.5 * nw.counted(model, x).macs.cost([]).dense
