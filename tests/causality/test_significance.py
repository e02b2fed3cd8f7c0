"""Surrogates keep what they should, and p values are what they claim."""

import numpy as np
import pytest

from niwaki.causality import (
    InterventionalEntropy,
    Surrogates,
    as_table,
    benjamini_hochberg,
    max_statistic,
    p_values,
    significance,
)
from niwaki.causality.systems import logistic_maps


def _copies(series, **how):
    surrogates = Surrogates(**how)
    copy = surrogates.copies(as_table({"a": series, "b": series[::-1]}), 1)
    return [copy(number, 0) for number in range(surrogates.count)]


def test_shifts_are_all_different_and_far_enough():
    series = np.arange(60.0)
    found = [int(block[0, 0]) for block in _copies(series, count=39)]
    # Ten windows of 1 and a step, from either end: first values 11 ... 49.
    assert sorted(found) == list(range(11, 50))
    for block in _copies(series, count=3):
        assert sorted(block.ravel()) == series.tolist()
        assert set(np.diff(block.ravel())) == {1.0, -59.0}


def test_the_same_seed_gives_the_same_surrogates():
    series = np.random.default_rng(0).normal(size=80)
    for kind in ("shift", "iaaft"):
        one, other, third = (_copies(series, count=5, kind=kind, seed=s) for s in (1, 1, 2))
        assert np.array_equal(one, other)
        assert not np.array_equal(one, third)


def test_fourier_surrogates_keep_values_and_spectrum():
    rng = np.random.default_rng(0)
    series = np.zeros(256)
    for t in range(1, 256):
        series[t] = 0.9 * series[t - 1] + rng.normal()
    power = np.abs(np.fft.rfft(series))[1:]
    for block in _copies(series, count=3, kind="iaaft"):
        assert np.sort(block.ravel()) == pytest.approx(np.sort(series), abs=0)
        other = np.abs(np.fft.rfft(block.ravel()))[1:]
        assert np.corrcoef(power, other)[0, 1] > 0.99
        assert abs(np.corrcoef(series, block.ravel())[0, 1]) < 0.6


def test_fourier_surrogates_treat_components_alike():
    rng = np.random.default_rng(0)
    one = rng.normal(size=100)
    copy = Surrogates(2, "iaaft").copies(as_table({"a": np.column_stack([one, 2 * one]), "b": rng.normal(size=100)}), 1)
    assert copy(0, 0)[:, 1] == pytest.approx(2 * copy(0, 0)[:, 0], abs=1e-12)


def test_p_values_count_the_score_itself():
    null = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.7]])
    # 0.2: two of three surrogates reach it, and itself: 3/4; 0.8: itself alone: 1/4.
    assert p_values(np.array([0.2, 0.8]), null).tolist() == [0.75, 0.25]
    assert np.isnan(p_values(np.array([np.nan, 0.8]), null)).tolist() == [True, False]


def test_adjusted_p_values_are_scipys():
    stats = pytest.importorskip("scipy.stats", reason="the oracle is SciPy's")
    rng = np.random.default_rng(0)
    for size in (1, 2, 30):
        p = rng.integers(1, 21, size) / 20  # with ties
        assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p), abs=1e-12)
    matrix = np.array([[np.nan, 0.01], [0.04, np.nan]])
    assert benjamini_hochberg(matrix)[~np.eye(2, dtype=bool)].tolist() == [0.02, 0.04]


def test_the_largest_of_all_pairs_by_hand():
    # Two pairs, three surrogates. First: 9 against 0, 0, 3: mean 3, variance (36 + 9 + 9 + 0) / 4 = 13.5; studentised
    # 1.633, -0.816, -0.816, 0. Second: 1 against 2, 3, 0: mean 1.5, variance 1.25; -0.447, 0.447, 1.342, -1.342.
    # The surrogates' largest: 0.447, 1.342, 0. So 1.633: 1/4; -0.447: all three reach it: 4/4.
    values, null = np.array([9.0, 1.0, np.nan]), np.array([[0.0, 2, np.nan], [0, 3, np.nan], [3, 0, np.nan]])
    assert max_statistic(values, null)[:2].tolist() == [0.25, 1.0]
    assert np.isnan(max_statistic(values, null)[2])


def test_a_constant_pair_has_no_say_in_the_largest():
    # Around their mean 3: -2 against -3, 2 and 3, two of which reach it. A zero of the constant would reach it, too.
    values, null = np.array([1.0, 7.0]), np.array([[0.0, 7.0], [5, 7], [6, 7]])
    assert max_statistic(values, null).tolist() == [0.75, 1.0]


def test_the_largest_bounds_the_chance_of_any_false_edge():
    # Exchangeable scores of 12 pairs with different levels and spreads: any at or below 0.05 in 5 % of the runs.
    rng = np.random.default_rng(0)
    level, spread = rng.normal(size=12) * 5, rng.uniform(0.1, 10, 12)
    runs = [level + spread * rng.normal(size=(20, 12)) for _ in range(2000)]
    hits = np.mean([max_statistic(every[0], every[1:]).min() <= 0.05 for every in runs])
    assert abs(hits - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 2000)


def test_a_coupled_pair_is_found_and_its_reverse_is_not():
    x, y = logistic_maps((3.7, 3.7), [(0, 1)], coupling=0.2, length=400).series.T
    forth, back = significance(x, y, surrogates=199), significance(y, x, surrogates=199)
    assert forth.p == 1 / 200
    assert len(forth.null) == 199
    assert forth.score > forth.null.max()
    assert back.score < forth.score / 3


@pytest.mark.parametrize("signed", [False, True])
def test_p_values_are_uniform_where_nothing_acts(signed):
    stats = pytest.importorskip("scipy.stats", reason="for the test of uniformity")
    index = InterventionalEntropy(signed=signed)
    found = []
    for run in range(200):
        rng = np.random.default_rng(run)
        x, y = rng.normal(size=(2, 120))
        found.append(significance(x, y, index, surrogates=Surrogates(49, seed=run)).p)
    # The p values are steps of 1/50: spread evenly within their step they are uniform, so that the test is exact.
    even = np.array(found) - np.random.default_rng(0).random(200) / 50
    assert stats.kstest(even, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.1) < 0.1 + 3 * np.sqrt(0.09 / 200)


@pytest.mark.parametrize("kind", ["shift", "iaaft"])
def test_oscillations_that_have_nothing_in_common_are_rarely_taken_for_causes(kind):
    # Smooth noise has scores far above those of white noise; the surrogates have them, too.
    hits = 0
    for run in range(40):
        rng = np.random.default_rng(run)
        x, y = (np.convolve(rng.normal(size=160), np.ones(6), "valid") for _ in range(2))
        hits += significance(x, y, surrogates=Surrogates(19, kind, seed=run)).p <= 0.05
    assert hits <= 8  # of 40 at 5 %: 8 or more has a chance of 0.0006


def test_what_surrogates_refuse():
    x, y = np.random.default_rng(0).normal(size=(2, 48))
    with pytest.raises(
        ValueError,
        match="99 surrogates need as many different shifts, but 48 time points with shifts of at least 11 leave 27; "
        "ask for fewer, lower min_shift, or give surrogate='iaaft'",
    ):
        significance(x, y)
    assert significance(x, y, surrogates=Surrogates(99, "iaaft")).p > 0
    assert significance(x, y, surrogates=Surrogates(27)).p > 0
    with pytest.raises(ValueError, match="leave 0"):
        significance(x, y, surrogates=Surrogates(5, min_shift=40))
    with pytest.raises(ValueError, match="surrogate='twin' is unknown; choose from shift, iaaft"):
        significance(x, y, surrogates=Surrogates(5, "twin"))
    with pytest.raises(ValueError, match="0 surrogates give no p value; ask for 19 at least, better 99"):
        significance(x, y, surrogates=0)
    with pytest.raises(ValueError, match="min_shift=0 will not do; give a whole number of at least 1"):
        significance(x, y, surrogates=Surrogates(5, min_shift=0))
