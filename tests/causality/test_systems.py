"""On systems whose causes are known, the entropy finds them as the reference does."""

import numpy as np
import pytest

from niwaki.causality import InterventionalEntropy, evaluate, interventional_embedding_entropy, score_matrix
from niwaki.causality.systems import competing_maps, eight_maps, henon_chain, logistic_maps


def _both(coupling, seed, **settings):
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=coupling, length=1000, seed=seed, **settings).series.T
    return interventional_embedding_entropy(x, y, 2), interventional_embedding_entropy(y, x, 2)


# Means and spreads of the reference over five seeds of the same system.
MEASURED = {0.0: (0.007, 0.007), 0.05: (0.147, 0.026), 0.1: (0.272, 0.011), 0.2: (0.451, 0.029), 0.3: (0.457, 0.083)}


@pytest.mark.parametrize("coupling", MEASURED)
def test_a_pair_scores_as_measured(coupling):
    found = np.array([_both(coupling, seed) for seed in range(10)])
    assert found.mean(axis=0) == pytest.approx(MEASURED[coupling], abs=0.015)
    wins = (found[:, 0] > found[:, 1]).sum()
    assert wins == 10 if coupling else 1 <= wins <= 9


def test_the_score_grows_with_the_coupling_and_falls_with_noise():
    scores = [_both(coupling, 0)[0] for coupling in (0.0, 0.05, 0.1, 0.15, 0.2)]
    assert (np.diff(scores) > 0).all()
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=1000).series.T
    rng = np.random.default_rng(0)
    noises = [(x + s * rng.normal(size=1000), y + s * rng.normal(size=1000)) for s in (0, 0.005, 0.02, 0.1)]
    assert (np.diff([interventional_embedding_entropy(*pair, 2, signed=True) for pair in noises]) < 0).all()


def test_a_common_driver_is_told_from_its_effects():
    for coupling, edge, other in ((0.1, 0.24, 0.09), (0.2, 0.40, 0.11), (0.3, 0.44, 0.16)):
        system = logistic_maps((3.6, 3.8, 3.7), [(2, 0), (2, 1)], coupling=coupling, length=1000)
        values = score_matrix(system.series, InterventionalEntropy(2), standardise="none").values
        off = ~np.eye(3, dtype=bool)
        assert values[system.truth].min() > edge
        assert values[off & ~system.truth].max() < other


@pytest.mark.parametrize("edges", [[(0, 1)], [(2, 0), (2, 1)], [(1, 0)], [(0, 2), (2, 1)], [(0, 2), (1, 2)]], ids=str)
def test_motifs_of_three(edges):
    system = competing_maps((3.7, 3.72, 3.78), edges, length=1000)
    found = evaluate(score_matrix(system.series), system.truth)
    assert found.auroc >= 0.87


@pytest.mark.parametrize("seed", [0, 1])
def test_eight_maps_and_nine_henon_maps(seed):
    eight, nine = eight_maps(length=1000, seed=seed), henon_chain(length=1000, seed=seed)
    index = InterventionalEntropy()
    assert evaluate(score_matrix(eight.series, index, standardise="none"), eight.truth).auroc >= 0.95
    assert evaluate(score_matrix(nine.series, index, standardise="none"), nine.truth).auroc >= 0.99
    assert evaluate(score_matrix(eight.series, index), eight.truth).auroc >= 0.9
    assert evaluate(score_matrix(nine.series, index), nine.truth).auroc >= 0.98


def test_the_maps_are_the_published_equations():
    # Without noise, each step follows from the one before.
    v = logistic_maps((3.7, 3.6, 3.5), [(0, 2), (1, 2)], coupling=0.1, length=50, noise=0).series
    assert v[1:, 0] == pytest.approx(3.7 * v[:-1, 0] * (1 - v[:-1, 0]), abs=1e-12)
    inner = 1 - 0.8 * v[:-1, 2] - 0.1 * v[:-1, 0] - 0.1 * v[:-1, 1]
    assert v[1:, 2] == pytest.approx(3.5 * v[:-1, 2] * inner, abs=1e-12)
    w = competing_maps((3.7, 3.6), [(0, 1)], coupling=0.2, length=50, noise=0).series
    assert w[1:, 1] == pytest.approx(w[:-1, 1] * (3.6 - 3.6 * w[:-1, 1] - 0.2 * w[:-1, 0]), abs=1e-12)
    h = henon_chain(4, length=50, noise=0).series
    assert h[2:, 0] == pytest.approx(1.4 - h[1:-1, 0] ** 2 + 0.3 * h[:-2, 0], abs=1e-12)
    mixed = 0.5 * 0.5 * h[1:-1, 1] + 0.5 * h[1:-1, 2]
    assert h[2:, 2] == pytest.approx(1.4 - mixed**2 + 0.3 * h[:-2, 2], abs=1e-12)


def test_truths_and_seeds():
    eight = eight_maps(length=20)
    assert np.argwhere(eight.truth).tolist() == [[0, 2], [1, 2], [1, 3], [2, 4], [2, 5], [5, 6], [5, 7]]
    assert henon_chain(3, length=5).truth.tolist() == [[False, True, False], [False, False, True], [False] * 3]
    assert (eight_maps(length=20, seed=1).series != eight.series).any()
    assert (eight_maps(length=20).series == eight.series).all()


def test_a_chain_that_runs_off_says_so():
    with pytest.raises(ValueError, match="with coupling=-3 the 9 maps run off at step .*; change the coupling"):
        henon_chain(length=100, coupling=-3.0)
