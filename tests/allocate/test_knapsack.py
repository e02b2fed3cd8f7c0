"""The knapsack against trying all counts, and against SciPy's solver of integer programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from niwaki.allocate import knapsack
from niwaki.core.costs import Limit
from tests.allocate.priced import best_by_trying_all, groups_for, kept_counts, random_scores, row_cost, worth


def _rising(rng, size):
    # Stairs with flat parts, as latencies have; whole numbers, so that nothing is rounded.
    return [0, *np.cumsum(rng.integers(0, 9, size) * rng.integers(0, 2, size)).tolist()]


def _separable(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, size=int(rng.integers(1, 5))).tolist()
    cost = row_cost({f"g{i}": _rising(rng, size) for i, size in enumerate(sizes)})
    scores = random_scores(cost, rng)
    least = cost(dict.fromkeys(cost.sizes, 1))
    most = least + int(rng.integers(0, int(cost.dense - least) + 1))
    return cost, scores, max(1.0, most)


@pytest.mark.parametrize("seed", range(60))
def test_for_a_sum_over_groups_nothing_is_better(seed):
    cost, scores, most = _separable(seed)
    keep = knapsack(groups_for(cost), scores, Limit(cost, most))
    assert cost(kept_counts(keep)) <= most
    allowed = {name: list(range(1, size + 1)) for name, size in cost.sizes.items()}
    assert worth(scores, keep) == pytest.approx(best_by_trying_all(scores, [Limit(cost, most)], allowed))


def _by_integer_program(cost, scores, most):
    """One 0/1 variable per group and count."""
    values, prices, owners = [], [], []
    for i, (name, size) in enumerate(cost.sizes.items()):
        ranked = np.sort(scores[name].numpy())[::-1]
        alone = cost.along(name, dict.fromkeys(cost.sizes, 0))
        for k in range(1, size + 1):
            values.append(ranked[:k].sum())
            prices.append(alone[k])
            owners.append(i)
    one_each = np.array([[owner == i for owner in owners] for i in range(len(cost.sizes))], dtype=float)
    rules = [LinearConstraint(one_each, 1, 1), LinearConstraint(np.array([prices]), -np.inf, most)]
    found = milp(-np.array(values), constraints=rules, integrality=np.ones(len(values)), bounds=Bounds(0, 1))
    assert found.success
    return -found.fun


@pytest.mark.parametrize("seed", range(8))
def test_as_good_as_an_integer_program(seed):
    rng = np.random.default_rng(seed)
    cost = row_cost({f"g{i}": _rising(rng, 40) for i in range(12)})
    scores = random_scores(cost, rng)
    most = float(round(0.4 * cost.dense))
    keep = knapsack(groups_for(cost), scores, Limit(cost, most), steps=10_000)
    assert cost(kept_counts(keep)) <= most
    assert worth(scores, keep) == pytest.approx(_by_integer_program(cost, scores, most), rel=1e-6)


def test_more_choices_than_one_table_holds():
    # Hundreds of counts of different cost per group, in a room of fewer steps than allowed: nothing is rounded.
    rng = np.random.default_rng(0)
    cost = row_cost({f"g{i}": [0, *np.cumsum(rng.integers(1, 4, 300)).tolist()] for i in range(3)})
    scores = random_scores(cost, rng)
    keep = knapsack(groups_for(cost), scores, Limit(cost, 900.0))
    assert cost(kept_counts(keep)) <= 900
    assert worth(scores, keep) == pytest.approx(_by_integer_program(cost, scores, 900.0), rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_costs_that_are_rounded_lose_little_and_exceed_nothing(seed):
    rng = np.random.default_rng(seed)
    cost = row_cost({f"g{i}": [0, *np.cumsum(rng.exponential(size=40)).tolist()] for i in range(12)})
    scores = random_scores(cost, rng)
    most = 0.4 * cost.dense
    keep = knapsack(groups_for(cost), scores, Limit(cost, most))
    assert cost(kept_counts(keep)) <= most
    best = _by_integer_program(cost, scores, most)
    assert 0.998 * best <= worth(scores, keep) <= best * (1 + 1e-9)
