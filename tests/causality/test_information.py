"""Information by neighbours: the plain loop, closed forms, and scikit-learn."""

import numpy as np
import pytest

from niwaki.causality import mutual_information
from tests.causality import oracle


def _gaussian(rho, n, seed):
    x, e = np.random.default_rng(seed).normal(size=(2, n))
    return x, rho * x + np.sqrt(1 - rho**2) * e


@pytest.mark.parametrize("theiler", [0, 5])
@pytest.mark.parametrize("k", [1, 4])
def test_it_is_the_plain_loop(loops, k, theiler):
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(60, 2)), rng.normal(size=60), rng.normal(size=(60, 2))
    assert mutual_information(x, y, k=k, theiler=theiler) == pytest.approx(
        oracle.information(x, y, None, k, theiler), abs=1e-12
    )
    assert mutual_information(x, y, z, k=k, theiler=theiler) == pytest.approx(
        oracle.information(x, y, z, k, theiler), abs=1e-12
    )


def test_it_is_the_plain_loop_with_ties(loops):
    x, y, z = np.random.default_rng(0).integers(0, 5, (3, 60))
    assert mutual_information(x, y, z) == pytest.approx(oracle.information(x, y, z), abs=1e-12)
    assert mutual_information(x, y) == pytest.approx(oracle.information(x, y), abs=1e-12)


@pytest.mark.parametrize(("rho", "spread"), [(0.0, 0.016), (0.3, 0.016), (0.6, 0.018), (0.9, 0.031)])
def test_gaussian_information(rho, spread):
    found = np.mean([mutual_information(*_gaussian(rho, 2000, seed)) for seed in range(3)])
    assert abs(found + 0.5 * np.log(1 - rho**2)) <= 3 * spread


@pytest.mark.parametrize("b", [0.0, 0.5, 0.9])
def test_gaussian_information_given_a_third(b):
    # x = z + e, y = z + b x + e': given z, y answers to e alone, with signal to noise b^2.
    found = []
    for seed in range(3):
        z, e, f = np.random.default_rng(seed).normal(size=(3, 2000))
        x = z + e
        found.append(mutual_information(x, z + b * x + f, z, k=5))
    assert abs(np.mean(found) - 0.5 * np.log(1 + b**2)) <= 0.03


def test_it_is_scikit_learns_in_one_dimension():
    selection = pytest.importorskip("sklearn.feature_selection", reason="the oracle is scikit-learn's")
    x, y = _gaussian(0.7, 500, 0)
    # It divides by the standard deviation first and adds noise of 1e-10; neither may reorder distances here.
    x, y = x / x.std(), y / y.std()
    (expected,) = selection.mutual_info_regression(x[:, None], y, n_neighbors=3, random_state=0)
    assert mutual_information(x, y, k=3) == pytest.approx(expected, abs=1e-6)


def test_what_cannot_be_estimated():
    x = np.arange(10.0)
    with pytest.raises(ValueError, match="x, y and z have 10, 9 and 10 samples; give the same samples of each"):
        mutual_information(x, x[1:])
    with pytest.raises(ValueError, match=r"k=0 will not do; give a whole number of at least 1"):
        mutual_information(x, x, k=0)
    with pytest.raises(ValueError, match="10 time points, 10 neighbours outside a window of 0 take at least 11"):
        mutual_information(x, x, k=10)
