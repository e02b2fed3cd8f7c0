"""Statistic, greatest statistic and envelope against brute force, statsmodels and numbers worked out by hand."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.patterns import bounds


def _compiled(name, x, sizes, ones, *cases):
    compiled = pytest.importorskip("niwaki.patterns.bounds_compiled", reason="numba is not installed")
    margins = [np.asarray(part, float) for part in (x, sizes, ones)]
    if name == "envelope":
        return compiled.envelope(*margins, np.zeros((3, len(x))))
    return getattr(compiled, name)(*cases, *margins)


def _arrays(name, x, sizes, ones, *cases):
    margins = [np.asarray(part, float) for part in (x, sizes, ones)]
    return float(getattr(bounds, name)(*(np.asarray(c, float) for c in cases), *margins))


ENGINES = pytest.mark.parametrize("call", [_arrays, _compiled])


def _terms(x, sizes, ones):
    gamma = [Fraction(o, s) for o, s in zip(ones, sizes, strict=True)]
    expected = sum(g * z for g, z in zip(gamma, x, strict=True))
    variance = sum(g * (1 - g) * z * (1 - Fraction(z, s)) for g, z, s in zip(gamma, x, sizes, strict=True))
    return expected, variance


def _best(x, sizes, ones):
    """Over every number of cases in every stratum."""
    expected, variance = _terms(x, sizes, ones)
    ranges = [range(max(0, z - (s - o)), min(z, o) + 1) for z, s, o in zip(x, sizes, ones, strict=True)]
    if not variance:
        return Fraction(0)
    return max((sum(cases) - expected) ** 2 / variance for cases in itertools.product(*ranges))


def _box(x, sizes, ones):
    """Over every pattern within the margins."""
    return max(_best(z, sizes, ones) for z in itertools.product(*(range(v + 1) for v in x)))


@st.composite
def margins(draw, most_strata=3, most=7):
    strata = draw(st.integers(1, most_strata))
    sizes = [draw(st.integers(1, most)) for _ in range(strata)]
    return (
        [draw(st.integers(0, s)) for s in sizes],
        sizes,
        [draw(st.integers(0, s)) for s in sizes],  # strata of one label only are among them
    )


@ENGINES
@pytest.mark.parametrize(
    ("x", "best", "p"),
    [
        ((4, 5), 16.493212670, 4.8824544e-05),
        ((8, 12), 50, 1.5374598e-12),
        ((5, 0), 10, 1.5654023e-03),
        ((3, 9), 24.406779661, 7.7993737e-07),
    ],
)
def test_known_values(call, x, best, p):
    found = call("best_statistic", x, (20, 30), (8, 12))
    assert found == pytest.approx(best, rel=1e-10)
    assert float(bounds.p_value(np.array(found))) == pytest.approx(p, rel=1e-7)


@ENGINES
def test_a_known_statistic(call):
    found = call("statistic", (4, 5), (20, 30), (8, 12), 5)
    assert found == pytest.approx(1.108597285, rel=1e-9)
    assert float(bounds.p_value(np.array(found))) == pytest.approx(0.292387071, rel=1e-8)


@ENGINES
def test_a_smaller_pattern_may_reach_further(call):
    # Two strata of 10 and 100, 2 and 50 of label 1: the reach does not fall with the pattern, the envelope does.
    sizes, ones = (10, 100), (2, 50)
    reach = [call("best_statistic", x, sizes, ones) for x in ((2, 0), (2, 1), (2, 2), (2, 5), (0, 5))]
    assert reach == pytest.approx([10.0, 8.7587, 9.0617, 11.6453, 5.2632], abs=5e-5)
    # Within (2, 5) the best is not the whole but (2, 5) itself: 11.6453; within (2, 2) it is (2, 0).
    assert call("envelope", (2, 2), sizes, ones) == pytest.approx(10.0, rel=1e-12)
    assert call("envelope", (2, 5), sizes, ones) == pytest.approx(reach[3], rel=1e-12)


@ENGINES
def test_the_statistic_equals_statsmodels_but_for_the_variance(call):
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="statsmodels is the oracle here")
    generator = np.random.default_rng(0)
    for _ in range(20):
        strata = int(generator.integers(1, 5))
        cells = generator.integers(1, 30, (strata, 2, 2))
        a, x, ones, sizes = cells[:, 0, 0], cells[:, :, 0].sum(1), cells[:, 0].sum(1), cells.sum((1, 2))
        stratified = tables.StratifiedTable([table.astype(float) for table in cells])
        theirs = stratified.test_null_odds(correction=False).statistic
        expected, _ = _terms(x.tolist(), sizes.tolist(), ones.tolist())
        # Mantel and Haenszel: n^2 (n - 1) where Cochran has n^3.
        variance = sum(
            Fraction(int(o * (s - o) * z * (s - z)), int(s * s * (s - 1)))
            for o, s, z in zip(ones, sizes, x, strict=True)
        )
        _, own_variance = _terms(x.tolist(), sizes.tolist(), ones.tolist())
        ours = call("statistic", x, sizes, ones, int(a.sum()))
        assert ours * float(own_variance / variance) == pytest.approx(theirs, rel=1e-9)
        assert ours == pytest.approx(float((int(a.sum()) - expected) ** 2 / own_variance), rel=1e-12)


def test_one_stratum_is_pearsons_test():
    stats = pytest.importorskip("scipy.stats")
    table = np.array([[12, 5], [8, 25]])
    theirs = stats.chi2_contingency(table, correction=False)
    ours = _arrays("statistic", [20], [50], [17], 12)
    assert ours == pytest.approx(theirs.statistic, rel=1e-12)
    assert float(bounds.p_value(np.array(ours))) == pytest.approx(theirs.pvalue, rel=1e-10)


@ENGINES
@given(case=margins())
def test_the_greatest_statistic_is_the_greatest_over_all_labels(call, case):
    assert call("best_statistic", *case) == pytest.approx(float(_best(*case)), rel=1e-12, abs=1e-12)


@ENGINES
@given(case=margins(most=5))
def test_the_envelope_is_the_greatest_over_all_smaller_patterns(call, case):
    assert call("envelope", *case) == pytest.approx(float(_box(*case)), rel=1e-12, abs=1e-12)


@ENGINES
@given(case=margins(most_strata=6, most=40))
def test_the_envelope_is_that_of_the_corners(call, case):
    x, sizes, ones = case
    sides = [[min(z, o) for z, o in zip(x, ones, strict=True)]]
    sides.append([min(z, s - o) for z, s, o in zip(x, sizes, ones, strict=True)])
    corners = {c for side in sides for c in itertools.product(*((0, z) for z in side))}
    most = max(_ends(c, sizes, ones) for c in corners)
    assert call("envelope", *case) == pytest.approx(float(most), rel=1e-12, abs=1e-12)


def _ends(x, sizes, ones):
    expected, variance = _terms(x, sizes, ones)
    least = sum(max(0, z - (s - o)) for z, s, o in zip(x, sizes, ones, strict=True))
    most = sum(min(z, o) for z, o in zip(x, ones, strict=True))
    return max(most - expected, expected - least) ** 2 / variance if variance else Fraction(0)


@ENGINES
@given(case=margins(most_strata=5, most=30), data=st.data())
def test_the_envelope_never_grows_in_a_smaller_pattern(call, case, data):
    x, sizes, ones = case
    smaller = [data.draw(st.integers(0, z)) for z in x]
    assert call("envelope", smaller, sizes, ones) <= call("envelope", *case) * (1 + 1e-12)


@given(case=margins(most_strata=6, most=40), share=st.floats(0, 1.3))
def test_reaching_is_being_below_the_envelope(case, share):
    compiled = pytest.importorskip("niwaki.patterns.bounds_compiled", reason="numba is not installed")
    x, sizes, ones = (np.asarray(part, float) for part in case)
    reach = _arrays("envelope", *case)
    least = share * reach if share else 1e-3
    if abs(least - reach) > 1e-9 * reach:
        assert compiled.reaches(x, sizes, ones, least, np.zeros((3, len(x)))) == (reach >= least)


@ENGINES
def test_many_strata(call):
    # More than are sorted by hand: the corners of hundreds of strata cannot be tried, but drawn ones stay below.
    generator = np.random.default_rng(1)
    sizes = generator.integers(2, 30, 200)
    ones = generator.integers(0, sizes + 1)
    x = generator.integers(0, sizes + 1)
    reach = call("envelope", x, sizes, ones)
    smaller = generator.integers(0, x + 1, (500, 200))
    assert (bounds.best_statistic(smaller.astype(float), sizes.astype(float), ones.astype(float)) <= reach).all()
    assert reach >= call("best_statistic", x, sizes, ones) * (1 - 1e-12)
    # One stratum at a time is what the ratios order; the best prefix, tried without sorting by them.
    gamma = ones / sizes
    z = np.minimum(x, ones)
    f, g = (1 - gamma) * z, gamma * (1 - gamma) * z * (1 - z / sizes)
    thresholds = [ratio for ratio in gamma * (1 - z / sizes) if ratio > 0]
    sets = [(gamma * (1 - z / sizes) <= t) & (g > 0) for t in thresholds]
    assert max(f[s].sum() ** 2 / g[s].sum() for s in sets if s.any()) <= reach * (1 + 1e-12)


def test_the_tail_is_accurate_far_out():
    special = pytest.importorskip("mpmath", reason="mpmath is the oracle of the far tail")
    for statistic in (0.0, 1e-8, 1.0, 31.2235, 111.37, 600.0, 1300.0):
        truth = float(special.erfc(special.sqrt(special.mpf(statistic) / 2)))
        assert float(bounds.p_value(np.array(statistic))) == pytest.approx(truth, rel=1e-12)


@pytest.mark.parametrize("p", [0.999, 0.5, 0.05, 1e-5, 1.1e-10, 0.9e-10, 1e-30, 1e-200])
def test_the_threshold_of_a_p_value(p):
    assert math.erfc(math.sqrt(bounds.upper(p) / 2)) == pytest.approx(p, rel=1e-9)
