"""Costs that depend on several groups at once, and several limits, against trying all counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.allocate import knapsack
from niwaki.allocate.coupled import Problem
from niwaki.allocate.ladders import ladders_of
from niwaki.allocate.multiple_choice import choose
from niwaki.allocate.spending import filled, improved
from niwaki.core import BudgetError
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
from tests.allocate.priced import best_by_trying_all, chain_cost, groups_for, kept_counts, random_scores, worth

METHODS = pytest.mark.parametrize("method", ["exact", "greedy"])


def _chain(seed):
    """Two to four groups of at most six units, and a limit between the least and the dense cost."""
    rng = np.random.default_rng(seed)
    inner = rng.integers(2, 7, int(rng.integers(2, 5))).tolist()
    cost = chain_cost([3, *inner, 4], rng.integers(1, 9, len(inner) + 1).astype(float).tolist())
    least = cost(dict.fromkeys(cost.sizes, 1))
    return cost, random_scores(cost, rng), least + (cost.dense - least) * float(rng.uniform(0.05, 0.95))


def _all_counts(cost):
    return {name: list(range(1, size + 1)) for name, size in cost.sizes.items()}


def _gaps(limits_of, seeds, **more):
    gaps = []
    for seed in seeds:
        cost, scores, most = _chain(seed)
        limits = limits_of(cost, most)
        keep = knapsack(groups_for(cost), scores, limits, **more)
        assert all(limit.cost(kept_counts(keep)) <= limit.most for limit in limits)
        gaps.append(1 - worth(scores, keep) / best_by_trying_all(scores, limits, _all_counts(cost)))
    return np.array(gaps)


@METHODS
def test_products_of_widths_come_close_to_the_best(method):
    gaps = _gaps(lambda cost, most: [Limit(cost, most)], range(40), method=method)
    assert gaps.min() > -1e-9
    assert gaps.mean() < 0.002
    assert (gaps < 1e-9).mean() > 0.9


def _with_units(cost, most):
    # Beside the products, at most three quarters of all units.
    layers = [Layer(f"n{name}", (Axis(size, {name: 1}),), lambda k: k) for name, size in cost.sizes.items()]
    units = NetworkCost(tuple(layers), cost.sizes)
    return [Limit(cost, most), Limit(units, max(len(layers), 0.75 * units.dense))]


def test_two_limits_hold_together_and_come_close_to_the_best():
    gaps = _gaps(_with_units, range(40))
    assert gaps.min() > -1e-9
    assert gaps.mean() < 0.005


def test_a_limit_that_does_not_bind_changes_nothing():
    cost, scores, most = _chain(3)
    loose = Limit(cost, cost.dense)
    alone = knapsack(groups_for(cost), scores, Limit(cost, most))
    both = knapsack(groups_for(cost), scores, [Limit(cost, most), loose])
    assert worth(scores, both) == pytest.approx(worth(scores, alone))


@METHODS
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.sampled_from([10, 100, 1000]))
def test_no_limit_is_ever_exceeded_and_counts_are_allowed(method, seed, multiple_of, step, steps):
    rng = np.random.default_rng(seed)
    inner = rng.integers(1, 12, int(rng.integers(1, 5))).tolist()
    cost = chain_cost([3, *inner, 4], rng.exponential(size=len(inner) + 1).tolist())
    groups = groups_for(cost, multiple_of=multiple_of, min_keep=int(rng.integers(0, 3)))
    scores = {name: torch.tensor(rng.normal(size=size)) for name, size in cost.sizes.items()}
    limits = [Limit(cost, cost.dense * float(rng.uniform(0.02, 1))) for _ in range(int(rng.integers(1, 3)))]
    try:
        keep = knapsack(groups, scores, limits, method=method, step=step, steps=steps)
    except BudgetError as error:
        assert "the budget cannot be met" in str(error)
        return
    assert all(limit.cost(kept_counts(keep)) <= limit.most for limit in limits)
    for group in groups:
        count = int(keep[group.name].sum())
        assert min(group.min_keep, group.size) <= count
        assert count % np.lcm(multiple_of, step) == 0 or count == group.size
        kept, left = scores[group.name][keep[group.name]], scores[group.name][~keep[group.name]]
        assert not len(kept) or not len(left) or kept.min() >= left.max()


def test_a_table_that_dips_is_walked_down_to_what_it_allows():
    # One unit costs 9, two cost 4: whoever starts at the fewest units would say that 5 is out of reach.
    cost = NetworkCost(
        (Layer("a", (Axis(3, {"a": 1}),), lambda k: np.array([0.0, 9, 4, 10])[k.astype(int)]),), {"a": 3}
    )
    keep = knapsack(groups_for(cost), {"a": torch.tensor([1.0, 3.0, 2.0])}, Limit(cost, 5.0))
    assert keep["a"].tolist() == [False, True, True]


def test_scores_of_zero_tell_nothing_so_that_widths_stay_alike():
    cost = chain_cost([3, 20, 20, 4], [1.0, 1.0, 1.0])
    keep = knapsack(groups_for(cost), {n: torch.zeros(s) for n, s in cost.sizes.items()}, Limit(cost, 0.5 * cost.dense))
    # 3 a + a b + 4 b is 540 at 20 each, so 270 may stay: 260 at 13 each, 294 at 14.
    assert kept_counts(keep) == {"g0": 13, "g1": 13}


def test_a_layer_with_nothing_left_is_free_whatever_its_price_says():
    # `a` costs 7 and one per unit, but nothing without units; without it, 6 pays three units of `b`.
    layers = (
        Layer("a", (Axis(3, {"a": 1}),), lambda k: k + 7.0), Layer("b", (Axis(3, {"b": 1}),), lambda k: 2.0 * k)
    )  # fmt: skip
    cost = NetworkCost(layers, {"a": 3, "b": 3})
    scores = {"a": torch.tensor([5.0, 5.0, 5.0]), "b": torch.ones(3)}
    keep = knapsack(groups_for(cost, min_keep=0), scores, Limit(cost, 6.0))
    assert kept_counts(keep) == {"a": 0, "b": 3}


def _problem(seed, limits_of):
    cost, scores, most = _chain(seed)
    return Problem(ladders_of(groups_for(cost), scores, 1, None, None), limits_of(cost, most))


@pytest.mark.parametrize("seed", range(20))
def test_no_round_loses_anything_and_nothing_that_fits_is_left_out(seed):
    problem = _problem(seed, _with_units)
    start = [0] * len(problem.ladders)
    better = improved(problem, choose, 1000, start)
    assert problem.fits(better)
    assert problem.value(better) >= problem.value(start)
    ends = filled(problem, start)
    assert problem.fits(ends)
    for i, ladder in enumerate(problem.ladders):
        for place in range(ends[i] + 1, len(ladder.counts)):
            assert not problem.fits([*ends[:i], place, *ends[i + 1 :]])


@pytest.mark.parametrize("seed", range(10))
def test_among_given_units_on_top_of_given_ones(seed):
    """What stays is in `base` or in `among`, and is as good as the best of those, counted by trying all."""
    cost, scores, most = _chain(seed)
    generator = torch.Generator().manual_seed(seed)
    base = {n: torch.rand(s, generator=generator) < 0.3 for n, s in cost.sizes.items()}
    among = {n: torch.rand(s, generator=generator) < 0.7 for n, s in cost.sizes.items()}
    least = cost({n: max(1, int(row.sum())) for n, row in base.items()})
    most = max(most, least)
    for n in base:  # something may always stay
        among[n][0] = True
    keep = knapsack(groups_for(cost), scores, Limit(cost, most), among=among, base=base)
    assert all(bool((keep[n] | ~base[n]).all()) and not bool((keep[n] & ~among[n] & ~base[n]).any()) for n in keep)
    assert cost(kept_counts(keep)) <= most
    # The same problem with only those units, the base far above the others.
    units = {n: torch.where(base[n], scores[n] + 1000, scores[n].masked_fill(~among[n], -1e6)) for n in base}
    allowed = {n: list(range(max(1, int(base[n].sum())), int((among[n] | base[n]).sum()) + 1)) for n in cost.sizes}
    best = best_by_trying_all(units, [Limit(cost, most)], allowed) - 1000 * sum(int(row.sum()) for row in base.values())
    assert 0.97 * best <= worth(scores, keep) <= best * (1 + 1e-9)
