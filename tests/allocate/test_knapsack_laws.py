"""What the knapsack promises whatever the costs, and what it says of bad input."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import Macs, knapsack
from niwaki.core import BudgetError, Group, SignalError
from niwaki.core.costs import Limit, NetworkCost
from niwaki.core.group import Pattern
from tests.allocate.priced import chain_cost, groups_for, kept_counts, row_cost

METHODS = pytest.mark.parametrize("method", ["exact", "greedy"])
# Ten a unit in `a`, one a unit in `b`.
PRICES = row_cost({"a": [0, 10, 20, 30, 40], "b": [0, 1, 2, 3, 4, 5, 6]}, unit="MACs")
SCORES = {"a": torch.tensor([4.0, 1.0, 3.0, 2.0]), "b": torch.tensor([0.5, 0.5, 0.9, 0.5, 0.1, 0.5])}


def lists(keep):
    return {name: row.int().tolist() for name, row in keep.items()}


@METHODS
def test_by_hand(method):
    # 23 buy two of `a` (7 for 20) and three of `b` (1.9 for 3), of equal ones the first.
    keep = knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 23), method=method)
    assert lists(keep) == {"a": [1, 0, 1, 0], "b": [1, 1, 1, 0, 0, 0]}


@METHODS
def test_a_budget_for_all_keeps_all(method):
    cost = chain_cost([3, 4, 5, 2], [0.1, 0.7, 0.3])
    keep = knapsack(
        groups_for(cost), {"g0": torch.zeros(4), "g1": torch.ones(5)}, Limit(cost, cost.dense), method=method
    )
    assert lists(keep) == {"g0": [1] * 4, "g1": [1] * 5}


@METHODS
def test_what_costs_nothing_and_is_worth_something_stays(method):
    # The third and fourth unit of `a` are free: the stairs of a latency.
    cost = row_cost({"a": [0, 5, 9, 9, 9, 14], "b": [0, 1, 8, 9]})
    scores = {"a": torch.tensor([5.0, 4, 0.01, 0.02, 3]), "b": torch.tensor([1.0, 2, 3])}
    keep = knapsack(groups_for(cost), scores, Limit(cost, 10), method=method)
    assert lists(keep) == {"a": [1, 1, 0, 1, 1], "b": [0, 0, 1]}


@METHODS
def test_units_below_zero_stay_only_where_a_count_needs_them(method):
    groups = [Group("a", 4, (), min_keep=3), Group("b", 6, ())]
    scores = {"a": torch.tensor([-1.0, -4, 2, -3]), "b": torch.tensor([1.0, -1, 2, -math.inf, 0, 3])}
    keep = knapsack(groups, scores, Limit(PRICES, 46), method=method)
    assert lists(keep) == {"a": [1, 0, 1, 1], "b": [1, 0, 1, 0, 1, 1]}


@METHODS
def test_counts_come_in_multiples_and_steps(method):
    groups = [Group("a", 4, (), multiple_of=2), Group("b", 6, ())]
    keep = knapsack(groups, SCORES, Limit(PRICES, 35), method=method, step={"b": 4})
    assert kept_counts(keep) == {"a": 2, "b": 6}  # all six are all
    keep = knapsack(groups, SCORES, Limit(PRICES, 25), method=method, step={"b": 4})
    assert kept_counts(keep) == {"a": 2, "b": 4}
    # Multiples of two in steps of three are sixes; fewer than a step are one step.
    keep = knapsack(
        [Group("a", 4, (), multiple_of=2), Group("b", 6, (), multiple_of=2)], SCORES, Limit(PRICES, 46), step=3
    )
    assert kept_counts(keep) == {"a": 4, "b": 6}


def test_fewer_units_than_a_step_are_one_step():
    # Of `b` three may stay, in steps of four; `a` has four units and steps of three, so three or all.
    among = {"a": torch.ones(4).bool(), "b": torch.tensor([True, False, True, False, True, False])}
    keep = knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 35), among=among, step={"a": 3, "b": 4})
    assert lists(keep) == {"a": [1, 0, 1, 1], "b": [1, 0, 1, 0, 1, 0]}


def test_of_many_equal_scores_the_lower_index_stays():
    cost = row_cost({"a": list(range(301))})
    scores = {"a": torch.arange(300) % 3}
    keep = knapsack([Group("a", 300, ())], scores, Limit(cost, 150.0))["a"]
    assert keep.nonzero().squeeze(1).tolist() == sorted([*range(2, 300, 3), *range(1, 150, 3)])


def test_what_is_in_the_base_needs_no_step():
    base = {"a": torch.tensor([True, False, False, False]), "b": torch.tensor([False, False, False, True, True, False])}
    # 12 are paid. Nothing more fits into 12.5; of 14, one more of `b` fits for a step of three, and no second of `a`.
    groups, step = groups_for(PRICES), {"b": 3}
    assert lists(knapsack(groups, SCORES, Limit(PRICES, 12.5), base=base, step=step)) == lists(base)
    keep = knapsack(groups, SCORES, Limit(PRICES, 14), base=base, step=step)
    assert lists(keep) == {"a": [1, 0, 0, 0], "b": [0, 0, 1, 1, 1, 0]}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["exact", "greedy"]))
def test_pure_deterministic_and_blind_to_the_order_of_units(seed, method):
    generator = torch.Generator().manual_seed(seed)
    cost = chain_cost([2, 5, 7, 3], [1.0, 0.5, 2.0])
    scores = {name: torch.randperm(size, generator=generator).double() for name, size in cost.sizes.items()}
    before = copy.deepcopy(scores)
    groups, limit = groups_for(cost), Limit(cost, 0.4 * cost.dense)
    keep = knapsack(groups, scores, limit, method=method)
    assert lists(keep) == lists(knapsack(groups, scores, limit, method=method))
    assert all(torch.equal(scores[name], before[name]) for name in scores)
    order = {name: torch.randperm(size, generator=generator) for name, size in cost.sizes.items()}
    mixed = knapsack(groups, {name: row[order[name]] for name, row in scores.items()}, limit, method=method)
    assert all(torch.equal(mixed[name], keep[name][order[name]]) for name in keep)


def test_any_number_type_will_do():
    expected = lists(knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 23)))
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        scores = {name: row.to(dtype) for name, row in SCORES.items()}
        assert lists(knapsack(groups_for(PRICES), scores, Limit(PRICES, 23))) == expected


def test_a_plan_that_is_refused_is_followed_by_a_tighter_one():
    seen = []

    def check(keep):
        seen.append(PRICES(kept_counts(keep)))
        return len(seen) == 3

    keep = knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 46), check=check)
    assert PRICES(kept_counts(keep)) == seen[-1]
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) == 3
    assert seen[0] == 46


def test_no_plan_passes():
    tried = []

    def check(keep):
        tried.append(keep)
        return False

    with pytest.raises(BudgetError, match="check= refused 6 plans, .* of the dense MACs; ask for a smaller") as error:
        knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 60), check=check)
    assert len(tried) == 6
    assert f"the last of them at {PRICES(kept_counts(tried[-1])) / 46:.3f} of" in str(error.value)


def test_no_plan_is_left():
    with pytest.raises(BudgetError, match=r"check= refused 1 plans, the last of them at 0.239 of"):
        knapsack(groups_for(PRICES), SCORES, Limit(PRICES, 11), check=lambda keep: False)


def test_a_budget_out_of_reach_names_the_least_and_who_holds_it():
    groups = [Group("a", 4, (), min_keep=3), Group("b", 6, (), multiple_of=4)]
    with pytest.raises(BudgetError) as error:
        knapsack(groups, SCORES, Limit(PRICES, 20))
    text = str(error.value)
    assert "at most 20 MACs are asked for (0.4348 of the dense cost)" in text
    assert "keep at least 34 of 46 MACs (0.7391)" in text
    assert "most is held by a (3 units, 30), b (4 units, 4)" in text
    assert "Ask for more" in text


def test_what_lies_outside_the_groups_is_named():
    cost = NetworkCost(PRICES.layers, PRICES.sizes, fixed=100.0, unit="MACs")
    with pytest.raises(BudgetError, match="100 of it outside the groups"):
        knapsack(groups_for(PRICES), SCORES, Limit(cost, 50))


@pytest.mark.parametrize(
    ("groups", "scores", "budget", "more", "error", "text"),
    [
        ([], SCORES, Limit(PRICES, 20), {}, BudgetError, "there are no groups"),
        (groups_for(PRICES), {"a": SCORES["a"]}, Limit(PRICES, 20), {}, SignalError, "group 'b' has no scores"),
        (groups_for(PRICES), SCORES, Limit(PRICES, 0), {}, BudgetError, "a limit of 0 MACs is not above 0"),
        (groups_for(PRICES), SCORES, [], {}, BudgetError, "there is no budget"),
        (groups_for(PRICES), SCORES, 0.5, {}, BudgetError, r"budget=0.5 is no budget of cost; give Latency\("),
        ([Group("a", 5, ())], {"a": torch.ones(5)}, Limit(PRICES, 20), {}, BudgetError, "has 5 units, but 4 in"),
        ([Group("c", 4, ())], {"c": torch.ones(4)}, Limit(PRICES, 20), {}, BudgetError, "has 4 units, but no in"),
        (groups_for(PRICES), SCORES, Limit(PRICES, 20), {"method": "best"}, BudgetError, "method='best' is unknown"),
        (groups_for(PRICES), SCORES, Limit(PRICES, 20), {"steps": 0}, BudgetError, "steps=0 cuts the budget"),
        (groups_for(PRICES), SCORES, Limit(PRICES, 20), {"step": 0}, BudgetError, "a step of 0 units for group 'a'"),
        (
            groups_for(PRICES), SCORES, Limit(PRICES, 20), {"among": {"a": torch.ones(4)}}, BudgetError,
            r"among= gives torch.float32 of shape \(4,\) for group 'a'",
        ),
        (
            groups_for(PRICES), SCORES, Limit(PRICES, 20), {"base": {"a": torch.ones(4).bool()}}, BudgetError,
            "base= gives nothing for group 'b'",
        ),
        (
            [Group("a", 4, (), min_keep=3)], {"a": torch.tensor([1.0, 2, -math.inf, -math.inf])}, Limit(PRICES, 20), {},
            BudgetError, "group 'a' is to keep at least 3 units, .* but only 2 of 4 may be kept",
        ),
        (
            [Group("a", 4, (), pattern=Pattern(2, 4))], SCORES, Limit(PRICES, 20), {}, BudgetError,
            "group 'a' keeps 2 of every 4 units, .* leave it out",
        ),
    ],
)  # fmt: skip
def test_bad_input(groups, scores, budget, more, error, text):
    with pytest.raises(error, match=text):
        knapsack(groups, scores, budget, **more)


def test_units_of_another_price_are_no_macs():
    class Prices:
        def cost(self, groups):
            return NetworkCost(PRICES.layers, PRICES.sizes, unit="bytes")

    with pytest.raises(BudgetError, match="Macs limits MACs, but these prices count bytes"):
        knapsack(groups_for(PRICES), SCORES, Macs(0.5, Prices()))
