"""Transfer entropy and Granger causality: the plain loop, closed forms, and statsmodels."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from niwaki.causality import CausalNetwork, Granger, granger, transfer_entropy
from tests.causality import oracle


def _pasts(x, y, order, lag):
    span = order * lag
    block = [np.array(oracle.vectors(s, range(lag, span + 1, lag), span)) for s in (x, y)]
    return block[0], np.array(oracle.vectors(y, [0], span)), block[1]


@pytest.mark.parametrize(("order", "lag", "theiler", "k"), [(1, 1, None, 2), (2, 1, 7, 4), (2, 3, None, 3)])
def test_transfer_entropy_is_the_plain_loop(loops, order, lag, theiler, k):
    x, y = np.random.default_rng(0).normal(size=(2, 70))
    past_x, now, past_y = _pasts(x, y, order, lag)
    expected = oracle.information(past_x, now, past_y, k, theiler or order * lag)
    assert transfer_entropy(x, y, order, k, theiler, lag=lag, signed=True) == pytest.approx(expected, abs=1e-12)
    assert transfer_entropy(x, y, order, k, theiler, lag=lag) == pytest.approx(abs(expected), abs=1e-12)


A = np.array([[0.5, 0.0], [0.4, 0.6]])  # x drives y


def _var(length, seed, matrix=A):
    rng = np.random.default_rng(seed)
    found = np.zeros((length + 200, len(matrix)))
    for t in range(1, len(found)):
        found[t] = matrix @ found[t - 1] + rng.normal(size=len(matrix))
    return found[200:]


def _exact(matrix, cause, effect):
    """``log(var reduced / var full)`` of order 1 from the stationary covariance: the full error is the noise, 1."""
    now = solve_discrete_lyapunov(matrix, np.eye(len(matrix)))
    after = matrix @ now
    reduced = now[effect, effect] - after[effect, effect] ** 2 / now[effect, effect]
    pair = [effect, cause]
    b = np.linalg.solve(now[np.ix_(pair, pair)], after[effect, pair])
    full = now[effect, effect] - b @ after[effect, pair]
    return np.log(reduced / full)


def test_linear_series_have_half_the_granger_causality_as_transfer_entropy():
    exact = _exact(A, 0, 1)
    assert exact > 0.1
    series = [_var(2000, seed) for seed in range(3)]
    linear = np.mean([granger(*s.T) for s in series])
    nonlinear = np.mean([transfer_entropy(*s.T) for s in series])
    assert linear == pytest.approx(exact, abs=0.03)
    assert nonlinear == pytest.approx(exact / 2, abs=0.03)
    assert abs(np.mean([granger(*s.T[::-1]) for s in series])) < 0.005
    assert abs(np.mean([transfer_entropy(*s.T[::-1], signed=True) for s in series])) < 0.02


@pytest.mark.parametrize("order", [1, 3])
def test_granger_is_statsmodels(order):
    tools = pytest.importorskip("statsmodels.regression.linear_model", reason="the oracle is statsmodels'")
    x, y = _var(150, 0).T + 3.0
    past_x, now, past_y = _pasts(x, y, order, 1)
    one = np.ones((len(now), 1))
    reduced = tools.OLS(now, np.hstack([one, past_y])).fit().ssr
    full = tools.OLS(now, np.hstack([one, past_y, past_x])).fit().ssr
    assert granger(x, y, order) == pytest.approx(np.log(reduced / full), abs=1e-10)


def test_granger_as_the_authors_have_it_knows_no_intercept():
    x, y = np.random.default_rng(0).normal(size=(2, 80, 2)) + 1.0
    past_x, now, past_y = (np.array(b) for b in _pasts(x, y, 2, 1))

    def left(columns):
        return (now - columns @ np.linalg.lstsq(columns, now, rcond=None)[0]).var(axis=0, ddof=1).mean()

    expected = -np.log(left(np.hstack([past_y, past_x])) / left(past_y))
    assert granger(x, y, 2, intercept=False) == pytest.approx(expected, abs=1e-10)


def test_granger_knows_no_units_and_needs_no_full_rank():
    x, y = _var(200, 1).T
    score = granger(x, y, 2)
    assert granger(1e6 * x, 1e-3 * y - 7, 2) == pytest.approx(score, abs=1e-9)
    assert granger(np.column_stack([x, 2 * x]), y, 2) == pytest.approx(score, abs=1e-9)
    assert granger(y, y, 2) == pytest.approx(0.0, abs=1e-12)


def test_granger_of_what_is_fully_determined():
    t = np.arange(200.0)
    x = np.sin(t) + 0.3 * np.sin(2.7 * t**1.1)
    after = np.roll(x, 1)
    assert 50 < granger(x, after) < 70  # nothing is left over: as far as float64 reaches
    assert granger(x, 0.5**t) == 0.0  # its own past tells all


def test_a_network_by_granger():
    matrix = np.array([[0.5, 0, 0], [0.4, 0.5, 0], [0, 0.4, 0.5]])
    network = CausalNetwork(Granger(), correction="max", surrogates=199).fit(_var(600, 0, matrix))
    assert [(e.source, e.target) for e in network.edges_[:2]] in (
        [("x0", "x1"), ("x1", "x2")],
        [("x1", "x2"), ("x0", "x1")],
    )
    assert [e.significant for e in network.edges_[:2]] == [True, True]
