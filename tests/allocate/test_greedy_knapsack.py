"""HALP's knapsack: what it may take, against a table filled cell by cell, and never above the exact one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import knapsack
from niwaki.allocate.greedy_knapsack import choose_greedily
from niwaki.allocate.multiple_choice import choose
from niwaki.core import BudgetError
from niwaki.core.costs import Limit
from tests.allocate.priced import groups_for, kept_counts, random_scores, row_cost, worth

ROWS = st.lists(st.lists(st.tuples(st.integers(0, 6), st.floats(0, 5)), min_size=1, max_size=6), min_size=1, max_size=5)


def _rows(drawn):
    """Rising costs, and values whose steps fall: the best unit first."""
    costs = [np.cumsum([0.0, *[float(c) for c, _ in row]]) for row in drawn]
    values = [np.cumsum([0.0, *sorted((v for _, v in row), reverse=True)]) for row in drawn]
    return costs, values


def _cell_by_cell(costs, values, room):
    """The same rule for whole costs, one state at a time: a chunk after the better one of its group, or not at all."""
    items = [
        (g, int(costs[g][k + 1] - costs[g][k]), float(values[g][k + 1] - values[g][k]))
        for g in range(len(costs))
        for k in range(len(costs[g]) - 1)
    ]
    best: list[float] = [0.0] * (room + 1)
    took: list[list[bool]] = []
    for i, (group, weight, value) in enumerate(items):
        follows = i > 0 and items[i - 1][0] == group
        now, mine = list(best), [False] * (room + 1)
        for state in range(weight, room + 1):
            left = state - weight
            tie = weight == 0 and best[left] + value == best[state]
            if (best[left] + value > best[state] or tie) and (not follows or took[-1][left]):
                now[state], mine[state] = best[state] + (best[left] + value - best[state]), True
        best = now
        took.append(mine)
    places, state = [0] * len(costs), room
    for (group, weight, _), mine in zip(reversed(items), reversed(took), strict=True):
        if mine[state]:
            places[group] += 1
            state -= weight
    return places


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 30))
def test_as_the_rule_says_state_by_state(drawn, room):
    costs, values = _rows(drawn)
    # A divisor of one, so that no cost is rounded: the last group has a chunk of one.
    costs.append(np.array([0.0, 1.0]))
    values.append(np.array([0.0, 0.5]))
    assert choose_greedily(costs, values, room, 1000) == _cell_by_cell(costs, values, room)


def _spent(rows, places):
    return sum(float(row[place]) for row, place in zip(rows, places, strict=True))


@settings(max_examples=200, deadline=None)
@given(ROWS, st.floats(0, 30), st.integers(1, 50))
def test_never_above_the_exact_one_and_never_beyond_the_capacity(drawn, capacity, steps):
    costs, values = _rows(drawn)
    greedy, exact = choose_greedily(costs, values, capacity, steps), choose(costs, values, capacity, steps)
    assert greedy is not None
    assert exact is not None
    assert _spent(costs, greedy) <= capacity * (1 + 1e-12)
    assert _spent(costs, exact) <= capacity * (1 + 1e-12)
    assert _spent(values, greedy) <= _spent(values, exact) + 1e-9


def test_the_case_where_it_falls_short():
    # By hand, room 2. `a` offers 0.5 for 1 and then 3 for 1 more, `b` offers 1 for 1. The table keeps `b` in state 1...
    costs = [np.array([0.0, 1, 2]), np.array([0.0, 1])]
    values = [np.array([0.0, 0.5, 3.5]), np.array([0.0, 1])]
    assert choose(costs, values, 2, 10) == [2, 0]
    # ... but `a` comes first, and its second chunk is taken after its first: nothing is lost here.
    assert choose_greedily(costs, values, 2, 10) == [2, 0]
    # With `b` first, state 1 belongs to `b`, so that no chunk of `a` was taken there for the next one to follow.
    assert choose(costs[::-1], values[::-1], 2, 10) == [0, 2]
    assert choose_greedily(costs[::-1], values[::-1], 2, 10) == [1, 1]


def test_chunks_that_make_the_network_cheaper():
    # A table that dips: two units cost less than one. Both ways take them, within what one unit would have exceeded.
    costs, values = [np.array([0.0, 9, 4, 12])], [np.array([0.0, 2, 3, 4])]
    assert choose_greedily(costs, values, 5, 100) == [2]
    assert choose(costs, values, 5, 100) == [2]


def test_more_chunks_than_a_table_holds():
    many = np.arange(2_000_001.0)
    with pytest.raises(BudgetError, match=r"2000000 chunks times 1001 states .* give step=, such as 8"):
        choose_greedily([many], [many], 1_000_000.0, 1000)


def test_nothing_fits():
    costs, values = [np.array([3.0, 4]), np.array([3.0, 9])], [np.array([0.0, 1]), np.array([0.0, 1])]
    assert choose(costs, values, 5.9, 10) is None
    assert choose_greedily(costs, values, 5.9, 10) is None
    assert choose(costs, values, 6, 10) == choose_greedily(costs, values, 6, 10) == [0, 0]


@pytest.mark.parametrize("seed", range(20))
def test_greedy_plans_are_worth_no_more_than_exact_ones(seed):
    rng = np.random.default_rng(seed)
    cost = row_cost({f"g{i}": [0, *np.cumsum(rng.integers(0, 5, size=12)).tolist()] for i in range(6)})
    scores, most = random_scores(cost, rng), max(1.0, round(0.5 * cost.dense))
    exact, greedy = (
        knapsack(groups_for(cost), scores, Limit(cost, most), method=method) for method in ("exact", "greedy")
    )
    assert cost(kept_counts(greedy)) <= most
    assert worth(scores, greedy) <= worth(scores, exact) + 1e-9
    assert worth(scores, greedy) >= 0.9 * worth(scores, exact)
