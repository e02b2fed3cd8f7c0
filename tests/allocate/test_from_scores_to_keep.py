"""The one call from scores to keep: exact counts, budgets never exceeded, nesting, ties by index."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import Global, ranked
from niwaki.core import BudgetError, SignalError
from tests.allocate.nets import row

# Per group: units, multiple_of, min_keep, cost of a unit.
ROWS = st.lists(
    st.tuples(st.integers(1, 14), st.sampled_from([1, 1, 2, 3, 4]), st.integers(1, 3), st.integers(1, 5)),
    min_size=1,
    max_size=3,
)


def case(rows, seed, *, ties=False):
    groups = [row(f"g{i}", n, multiple_of=m, min_keep=k) for i, (n, m, k, _) in enumerate(rows)]
    generator = torch.Generator().manual_seed(seed)
    scores = {g.name: torch.randn(g.size, generator=generator) for g in groups}
    scores = {name: s.round() for name, s in scores.items()} if ties else scores
    return groups, scores, {f"g{i}": c for i, (_, _, _, c) in enumerate(rows)}


def floor_of(group):
    return min(group.size, math.ceil(max(group.min_keep, 1) / group.multiple_of) * group.multiple_of)


def portions(group, scores):
    """The units of a group, best first, in the portions they come in; the floor comes first, at infinity."""
    order = sorted(range(group.size), key=lambda u: (-scores[u], u))
    m = group.multiple_of
    found = [order[i : i + m] for i in range(0, group.size, m)]
    floor = floor_of(group)
    return [(math.inf if i * m < floor else math.fsum(scores[u] for u in p) / len(p), p) for i, p in enumerate(found)]


def sequence(groups, scores):
    """All portions in the order in which they are taken, by one stable sort."""
    every = [
        (value, g, units)
        for g, group in enumerate(groups)
        for value, units in portions(group, scores[group.name].tolist())
    ]
    return sorted(every, key=lambda entry: (-entry[0], entry[1]))


def lists(keep):
    return {name: mask.int().tolist() for name, mask in keep.items()}


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(0, 10_000))
def test_counts_are_met_and_rounded_up_by_less_than_a_portion(rows, seed):
    groups, scores, _ = case(rows, seed)
    units, least = sum(g.size for g in groups), sum(floor_of(g) for g in groups)
    before = None
    for count in range(least, units + 1):
        keep = ranked(groups, scores, density=count / units)
        kept = {g.name: int(keep[g.name].sum()) for g in groups}
        assert all(kept[g.name] >= floor_of(g) for g in groups)
        assert all(kept[g.name] % g.multiple_of == 0 or kept[g.name] == g.size for g in groups)
        assert count <= sum(kept.values()) < count + max(g.multiple_of for g in groups)
        if all(g.multiple_of == 1 for g in groups):
            assert sum(kept.values()) == count
            assert lists(keep) == lists(Global()(groups, scores, count / units))
        assert before is None or all(bool((keep[name] | ~before[name]).all()) for name in keep)
        assert lists(keep) == lists(ranked(groups, scores, density=count / units))
        before = keep


@settings(max_examples=80, deadline=None)
@given(ROWS, st.integers(0, 10_000), st.floats(0.05, 1.0))
def test_a_budget_is_the_longest_run_of_portions_that_fits(rows, seed, density):
    groups, scores, cost = case(rows, seed)
    total = sum(g.size * cost[g.name] for g in groups)
    spent, kept = 0, {g.name: [0] * g.size for g in groups}
    for value, g, units in sequence(groups, scores):
        price = len(units) * cost[groups[g].name]
        if spent + price > density * total:
            if value == math.inf:
                with pytest.raises(BudgetError, match="of the cost cannot be met: min_keep"):
                    ranked(groups, scores, density=density, cost=cost)
                return
            break
        spent += price
        for unit in units:
            kept[groups[g].name][unit] = 1
    assert lists(ranked(groups, scores, density=density, cost=cost)) == kept


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(0, 10_000), st.booleans())
def test_budgets_nest_also_with_ties(rows, seed, ties):
    groups, scores, cost = case(rows, seed, ties=ties)
    total, before = sum(g.size * cost[g.name] for g in groups), None
    least = sum(floor_of(g) * cost[g.name] for g in groups)
    for budget in range(least, total + 1):
        keep = ranked(groups, scores, density=budget / total, cost=cost)
        assert sum(int(keep[g.name].sum()) * cost[g.name] for g in groups) <= budget
        assert before is None or all(bool((keep[name] | ~before[name]).all()) for name in keep)
        before = keep
    assert all(bool(mask.all()) for mask in before.values())


def test_a_cost_may_be_any_function_that_grows():
    # A matrix between the groups: 4 x 6, of which a share of 1/3 may stay, that is 8 elements.
    groups = [row("rows", 4), row("columns", 6)]
    scores = {"rows": torch.tensor([4.0, 3.0, 2.0, 1.0]), "columns": torch.tensor([3.9, 2.9, 2.8, 2.7, 0.5, 0.4])}
    asked = []

    def elements(keep):
        asked.append(keep)
        return int(keep["rows"].sum()) * int(keep["columns"].sum())

    keep = ranked(groups, scores, density=1 / 3, cost=elements)
    # In order: 4.0 3.9 (floors), 3.0 -> 2 x 1, 2.9 -> 2 x 2, 2.8 -> 2 x 3, 2.7 -> 2 x 4 = 8, 2.0 -> 3 x 4 = 12.
    assert lists(keep) == {"rows": [1, 1, 0, 0], "columns": [1, 1, 1, 1, 0, 0]}
    assert len(asked) < 10
    assert lists(ranked(groups, scores, density=1, cost=elements)) == {"rows": [1] * 4, "columns": [1] * 6}


def test_decimal_fractions_are_met():
    # 0.1 + 0.1 + 0.1 is more than 0.3 in floating point.
    keep = ranked([row("a", 10)], {"a": torch.arange(10.0)}, density=0.3, cost={"a": 0.1})
    assert int(keep["a"].sum()) == 3


def test_equal_scores_go_by_group_and_index():
    groups = [row("a", 3), row("b", 3)]
    scores = {"a": torch.ones(3), "b": torch.ones(3)}
    assert lists(ranked(groups, scores, density=0.5)) == {"a": [1, 1, 0], "b": [1, 0, 0]}
    # Of 6, the floors cost 2 and 1 and the next of a 2; the third of a no longer fits, and b's stand behind it.
    assert lists(ranked(groups, scores, density=6 / 9, cost={"a": 2, "b": 1})) == {"a": [1, 1, 0], "b": [1, 0, 0]}


def test_the_last_portion_is_completed():
    groups = [row("a", 8, multiple_of=4), row("b", 3)]
    scores = {"a": torch.arange(8.0), "b": torch.tensor([1.0, 9.0, 8.0])}
    # Floors: a keeps 4 to 7, b keeps 9. Then b's 8, then a's mean 1.5, then b's 1.
    assert lists(ranked(groups, scores, density=6 / 11)) == {"a": [0] * 4 + [1] * 4, "b": [0, 1, 1]}
    assert lists(ranked(groups, scores, density=7 / 11)) == {"a": [1] * 8, "b": [0, 1, 1]}
    assert lists(Global()(groups, scores, 7 / 11)) == {"a": [0] * 4 + [1] * 4, "b": [0, 1, 1]}


def test_options_of_the_ranking_are_passed_on():
    groups = [row("a", 2), row("b", 4)]
    scores = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([30.0, 10.0, 20.0, 1.0])}
    assert lists(ranked(groups, scores, density=0.5, normalise="l2")) == {"a": [1, 1], "b": [1, 0, 0, 0]}
    assert lists(ranked(groups, scores, density=0.5)) == {"a": [0, 1], "b": [1, 0, 1, 0]}
    assert lists(ranked(groups, scores, density=0.5, min_share=0.5)) == {"a": [0, 1], "b": [1, 0, 1, 0]}
    for share, wanted in ((0.0, [1, 0, 0, 0]), (0.5, [1, 0, 1, 0])):
        keep = ranked(groups, scores, density=0.5, normalise="l2", min_share=share, cost={"a": 1, "b": 1})
        assert lists(keep) == {"a": [int(share == 0), 1], "b": wanted}


def test_units_that_may_not_stay_do_not():
    groups = [row("a", 6, multiple_of=2), row("b", 3)]
    scores = {"a": torch.tensor([5.0, 4.0, 3.0, -math.inf, -math.inf, 2.0]), "b": torch.tensor([1.0, -math.inf, 0.0])}
    wanted = {"a": [1, 1, 1, 0, 0, 1], "b": [1, 0, 1]}
    assert lists(ranked(groups, scores, density=6 / 9)) == wanted
    assert lists(ranked(groups, scores, density=1, cost={"a": 1, "b": 1})) == wanted
    with pytest.raises(BudgetError, match="asks for 7 of 9 units, but the groups can keep 3 to 6"):
        ranked(groups, scores, density=7 / 9)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"density": 0}, BudgetError, "density 0 is outside"),
        ({"density": 0, "cost": {"a": 1}}, BudgetError, "density 0 is outside"),
        ({"density": 0.1}, BudgetError, r"asks for 0 of 4 units, but the groups can keep 1 to 4"),
        ({"density": 0.1, "cost": {"a": 2}}, BudgetError, "a density of 0.1 of the cost .* keep at least 0.25 of it"),
        ({"cost": {}}, BudgetError, "cost= gives None for group 'a'; give every group the cost of one of its units"),
        ({"cost": {"a": -1}}, BudgetError, "cost= gives -1 for group 'a'"),
        ({"cost": {"a": math.nan}}, BudgetError, "cost= gives nan for group 'a'"),
        ({"cost": {"a": 0}}, BudgetError, "all units together cost 0.0; a share of that means nothing"),
        ({"scores": {"a": torch.rand(3)}}, SignalError, "has 4 units, but its scores have shape"),
        ({"scores": {"a": torch.tensor([1, 2, math.nan, 3])}, "cost": {"a": 1}}, SignalError, "are NaN"),
        ({"normalise": "most"}, BudgetError, "normalise='most' is unknown"),
        ({"groups": []}, BudgetError, "there are no groups"),
        ({"groups": [row("a", 4, min_keep=3)], "density": 0.5}, BudgetError, "can keep 3 to 4"),
        ({"groups": [row("a", 4, min_keep=9)], "density": 0.5}, BudgetError, "can keep 4 to 4"),
    ],
)  # fmt: skip
def test_what_cannot_be(change, kind, message):
    call = {"groups": [row("a", 4)], "scores": {"a": torch.arange(4.0)}, "density": 0.5, **change}
    with pytest.raises(kind, match=message):
        ranked(call.pop("groups"), call.pop("scores"), **call)
