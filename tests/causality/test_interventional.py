"""The entropy is the reference's, number for number, and has the properties the reference has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.causality import InterventionalEntropy, interventional_embedding_entropy
from niwaki.causality.systems import logistic_maps
from tests.causality import oracle
from tests.causality.without_numba import without_numba

GOLDENS = [  # order, k, neighbours, x -> y, y -> x: measured with an independent port of the authors' program
    (1, 2, 10, 0.400647263365, 0.120357142857),
    (2, 2, 10, 0.223884760839, 0.137051773726),
    (1, 3, 20, 0.511354731039, 0.081326764589),
]


def test_the_golden_series_is_the_published_one():
    x, y = oracle.golden_series()
    assert x[:3] == pytest.approx([0.65515405, 0.30481432, 0.67496063], abs=1e-8)
    assert y[:3] == pytest.approx([0.3, 0.32169073, 0.19801007], abs=1e-8)
    assert (x[-1], y[-1]) == (0.43051332840695977, 0.40017570087074006)


@pytest.mark.parametrize(("order", "k", "neighbours", "forth", "back"), GOLDENS)
def test_goldens(loops, order, k, neighbours, forth, back):
    x, y = oracle.golden_series()
    assert interventional_embedding_entropy(x, y, order, k, neighbours) == pytest.approx(forth, abs=1e-9)
    assert interventional_embedding_entropy(y, x, order, k, neighbours) == pytest.approx(back, abs=1e-9)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("order", "k", "neighbours", "theiler", "lag"),
    [(1, 2, 10, None, 1), (2, 3, 8, 6, 1), (3, 2, 7, None, 1), (2, 2, 9, None, 3), (1, 5, 6, 4, 2)],
)
def test_it_is_the_plain_loop(loops, order, k, neighbours, theiler, lag, signed):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 70))
    found = interventional_embedding_entropy(x, y, order, k, neighbours, theiler, lag=lag, signed=signed)
    expected = oracle.iee(x, y, order, k, neighbours, theiler, lag=lag, signed=signed)
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("local", [False, True])
def test_vector_variables(loops, local):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(60, 2)) * [1, 5], rng.normal(size=(60, 3))
    found = interventional_embedding_entropy(x, y, 2, local_scale=local)
    assert found == pytest.approx(oracle.iee(x, y, 2, local=local), abs=1e-12)


@given(st.data())
def test_ties_are_settled_as_in_the_loop(data):
    # Few values, so that distances, rows and whole neighbourhoods coincide.
    values = st.lists(st.integers(0, data.draw(st.integers(1, 4))), min_size=40, max_size=40)
    x, y = data.draw(values), data.draw(values)
    order, k = data.draw(st.integers(1, 2)), data.draw(st.integers(2, 4))
    found = interventional_embedding_entropy(x, y, order, k, 8, signed=True)
    assert found == pytest.approx(oracle.iee(x, y, order, k, 8, signed=True), abs=1e-12)


@given(st.data())
def test_numpy_settles_ties_alike(data):
    values = st.lists(st.integers(0, 3), min_size=40, max_size=40)
    x, y = data.draw(values), data.draw(values)
    with without_numba():
        found = interventional_embedding_entropy(x, y, 1, 3, 8, signed=True)
    assert found == pytest.approx(oracle.iee(x, y, 1, 3, 8, signed=True), abs=1e-12)


@pytest.fixture
def pair():
    return logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.1, length=600).series


def test_moving_and_scaling_both_changes_nothing(pair):
    x, y = pair.T
    score = interventional_embedding_entropy(x, y, 2)
    # A power of two, so that no rounding is in the way.
    assert interventional_embedding_entropy(4 * x, 4 * y, 2) == score
    assert interventional_embedding_entropy(x + 8, y - 16, 2) == pytest.approx(score, abs=0.01)


def test_the_order_of_components_changes_nothing():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(80, 3)), rng.normal(size=(80, 1))
    assert interventional_embedding_entropy(x[:, [2, 0, 1]], y) == interventional_embedding_entropy(x, y)


@pytest.mark.parametrize("how", ["zscore", "minmax", "rank"])
def test_standardised_scores_do_not_know_units(pair, how):
    x, y = pair.T
    score = interventional_embedding_entropy(x, y, 2, standardise=how)
    assert interventional_embedding_entropy(32 * x, y / 8, 2, standardise=how) == pytest.approx(score, abs=1e-9)


def test_local_scales_do_not_know_the_units_of_the_cause(pair):
    x, y = pair.T
    score = interventional_embedding_entropy(x, y, 2, local_scale=True)
    assert interventional_embedding_entropy(64 * x, y, 2, local_scale=True) == pytest.approx(score, abs=1e-9)


def test_without_it_the_unit_can_turn_the_direction():
    # The defect of the reference: at 100 times the cause, the wrong direction wins; at a thousandth, both vanish.
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.1, length=1000).series.T
    found = {
        c: (interventional_embedding_entropy(c * x, y, 2), interventional_embedding_entropy(y, c * x, 2))
        for c in (0.001, 1, 100)
    }
    assert found[1][0] > 0.2 > 10 * found[1][1]
    assert found[100][0] < 0.01 < 0.1 < found[100][1]
    assert max(found[0.001]) < 0.01


def test_noise_scores_above_zero_unless_signed():
    x, y = np.random.default_rng(0).normal(size=(2, 1000))
    assert interventional_embedding_entropy(x, y) == pytest.approx(0.074, abs=0.012)
    assert interventional_embedding_entropy(x, y, signed=True) == pytest.approx(-0.005, abs=0.02)


def test_scores_grow_with_the_neighbourhood():
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=2000).series.T
    found = [interventional_embedding_entropy(x, y, 2, 2, size) for size in (10, 20, 50)]
    assert found == pytest.approx([0.452, 0.800, 1.297], abs=0.05)


def _lorenz(start, length, skip):
    def slope(s):
        return np.array([10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]])

    s, found = np.array(start), []
    for _ in range(skip + length):  # Runge and Kutta's fourth order, steps of 0.01
        k1 = slope(s)
        k2 = slope(s + 0.005 * k1)
        k3 = slope(s + 0.005 * k2)
        s = s + 0.01 / 6 * (k1 + 2 * k2 + 2 * k3 + slope(s + 0.01 * k3))
        found.append(s[0])
    return np.array(found[skip:])


def test_the_time_window_changes_the_scores_of_smooth_flows():
    # Two flows that have nothing to do with each other: neighbours come in runs along the flow, so that noise-free
    # offsets move together, and no width of the window takes that away.
    x, y = _lorenz([1.0, 1.0, 20.0], 1500, 500), _lorenz([5.0, 3.0, 25.0], 1500, 1500)
    narrow, wide = (interventional_embedding_entropy(x, y, 2, theiler=width, signed=True) for width in (2, 200))
    assert narrow > 0.05
    assert abs(wide / narrow - 1) > 0.1


def test_a_constant_says_nothing():
    x = np.random.default_rng(0).normal(size=100)
    assert interventional_embedding_entropy(x, np.ones(100)) == 0.0
    assert interventional_embedding_entropy(np.ones(100), x, standardise="zscore") == 0.0


def test_the_shortest_series_is_what_the_message_says():
    x, y = np.random.default_rng(0).normal(size=(2, 16))
    index = InterventionalEntropy(2)  # 2 delays, a window of 2 to each side, 10 neighbours: 2 + 5 + 10 = 17
    with pytest.raises(ValueError, match="16 time points, 10 neighbours outside a window of 2 take at least 17"):
        index.check(16)
    with pytest.raises(ValueError, match="take at least 17"):
        interventional_embedding_entropy(x, y, 2)
    x, y = np.random.default_rng(0).normal(size=(2, 17))
    assert interventional_embedding_entropy(x, y, 2) == pytest.approx(oracle.iee(x, y, 2), abs=1e-12)
