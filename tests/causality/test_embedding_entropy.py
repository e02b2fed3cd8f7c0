"""Embedding entropy, plain and conditional, and the experimental conditional form."""

import numpy as np
import pytest
from scipy.special import digamma

from niwaki.causality import InterventionalEntropy, conditional_interventional_entropy, embedding_entropy
from niwaki.causality.systems import logistic_maps
from tests.causality import oracle


def _surroundings(series, order, theiler):
    points = np.array(oracle.vectors(series, range(order + 1), order))
    near = oracle.nearest(points, points.shape[1] + 1, theiler)
    return np.array([points[row].ravel() for row in near])


@pytest.mark.parametrize(("order", "k", "theiler"), [(1, 2, None), (2, 4, 5)])
def test_it_is_the_plain_loop(loops, order, k, theiler):
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=60), rng.normal(size=(60, 2)), rng.normal(size=60)
    width = theiler or order
    past = np.array(oracle.vectors(x, range(1, order + 1), order))
    near, third = _surroundings(y, order, width), _surroundings(z, order, width)
    plain = oracle.information(past, near, None, k, width)
    given = oracle.information(past, near, third, k, width)
    assert embedding_entropy(x, y, None, order, k, theiler, signed=True) == pytest.approx(plain, abs=1e-12)
    assert embedding_entropy(x, y, None, order, k, theiler) == pytest.approx(abs(plain), abs=1e-12)
    assert embedding_entropy(x, y, z, order, k, theiler, signed=True) == pytest.approx(given, abs=1e-12)


def test_it_finds_the_direction():
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=800).series.T
    assert embedding_entropy(x, y) > embedding_entropy(y, x) + 0.2


def test_a_common_driver_explains_what_two_share():
    x, y, z = logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], coupling=0.3, length=800).series.T
    assert embedding_entropy(x, y, z) < 0.5 * embedding_entropy(x, y)
    assert embedding_entropy(z, y, x) > embedding_entropy(x, y, z)


def test_a_vector_too_wide_for_the_series():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="24 coordinates take 25 neighbours, but the series leaves 16"):
        embedding_entropy(rng.normal(size=20), rng.normal(size=(20, 12)))


def _conditional(x, y, z, index, both):
    """The formula of the specification within each neighbourhood, in loops; without ties no row is dropped."""
    p, k = index.order, index.k
    first, third = (oracle.vectors(s, range(1, p + 1), p) for s in (x, z))
    second = oracle.vectors(y, range(p + 1), p)
    space = np.hstack([second, third]) if both else np.array(second)
    total = []
    for near in oracle.nearest(space, index.neighbours, p):
        sizes = []
        for u in near:
            d = [
                (oracle.cheb(first[u], first[v]), oracle.cheb(second[u], second[v]), oracle.cheb(third[u], third[v]), v)
                for v in near
            ]
            eps = sorted(max(row[:3]) for row in d if row[3] != u)[k - 1]
            n_z = sum(c < eps for *_, c, _ in d)
            n_xz = sum(max(a, c) < eps for a, _, c, _ in d)
            n_yz = sum(max(b, c) < eps for _, b, c, _ in d)
            sizes.append(digamma(n_z) - digamma(n_xz) - digamma(n_yz))
        total.append(abs(digamma(k) + np.mean(sizes)))
    return np.mean(total)


@pytest.mark.parametrize("both", [False, True])
def test_the_conditional_form_is_the_plain_loop(both):
    x, y, z = np.random.default_rng(0).normal(size=(3, 80))
    index = InterventionalEntropy(2, 3, 12)
    where = "both" if both else "effect"
    found = conditional_interventional_entropy(x, y, z, index, neighbourhood=where)
    assert found == pytest.approx(_conditional(x, y, z, index, both), abs=1e-12)


def test_the_conditional_form_says_that_it_is_experimental():
    assert (conditional_interventional_entropy.__doc__ or "").startswith("Experimental:")
    assert conditional_interventional_entropy.__module__ == "niwaki.causality.experimental"


def test_given_a_constant_it_is_the_plain_form():
    from niwaki.causality import interventional_embedding_entropy

    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=300).series.T
    found = conditional_interventional_entropy(x, y, np.ones(300))
    assert found == pytest.approx(interventional_embedding_entropy(x, y), abs=1e-12)


def test_what_the_conditional_form_refuses():
    x = np.random.default_rng(0).normal(size=(3, 80))
    with pytest.raises(ValueError, match="neighbourhood='cause' is unknown; choose from effect, both"):
        conditional_interventional_entropy(*x, neighbourhood="cause")
    with pytest.raises(ValueError, match="x, y and z have 80, 80, 79 time points; cut them to the same times"):
        conditional_interventional_entropy(x[0], x[1], x[2, 1:])
