"""Odds ratios, inflation and false discovery rates against statsmodels, SciPy and cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from niwaki.patterns import significant_patterns
from niwaki.patterns.effects import false_discovery, inflation, odds_ratio


def _margins(tables):
    """Cases, support, sizes and ones of tables [[a, b], [c, d]], rows: pattern or not, columns: label 1 or 0."""
    cells = np.asarray(tables, float)
    return cells[:, 0, 0], cells[:, 0].sum(1), cells.sum((1, 2)), cells[:, :, 0].sum(1)


def test_the_odds_ratio_and_its_interval_equal_statsmodels():
    contingency = pytest.importorskip("statsmodels.stats.contingency_tables", reason="statsmodels is the oracle here")
    generator = np.random.default_rng(0)
    for confidence in (0.95, 0.8):
        tables = generator.integers(1, 40, (4, 2, 2))
        stratified = contingency.StratifiedTable([table.astype(float) for table in tables])
        cases, x, sizes, ones = _margins(tables)
        ratio, low, high = odds_ratio(cases[None], x[None], sizes, ones, confidence=confidence)
        assert ratio[0] == pytest.approx(stratified.oddsratio_pooled, rel=1e-10)
        theirs = stratified.oddsratio_pooled_confint(alpha=1 - confidence)
        assert (low[0], high[0]) == pytest.approx(theirs, rel=1e-9)


def test_an_odds_ratio_by_hand():
    # One stratum: (8 * 9) / (2 * 3) = 12; its log has variance 1/8 + 1/2 + 1/3 + 1/9 (Woolf), which is what
    # Robins, Breslow and Greenland give for a single table.
    cases, x, sizes, ones = _margins([[[8, 2], [3, 9]]])
    ratio, low, high = odds_ratio(cases[None], x[None], sizes, ones)
    half = 1.959963984540054 * math.sqrt(1 / 8 + 1 / 2 + 1 / 3 + 1 / 9)
    assert (ratio[0], low[0], high[0]) == pytest.approx((12, 12 * math.exp(-half), 12 * math.exp(half)), rel=1e-12)


@pytest.mark.parametrize(
    ("table", "expected"), [([[5, 0], [3, 4]], math.inf), ([[0, 5], [3, 4]], 0.0), ([[0, 5], [0, 4]], math.nan)]
)
def test_odds_that_have_no_end(table, expected):
    cases, x, sizes, ones = _margins([table])
    ratio, low, high = odds_ratio(cases[None], x[None], sizes, ones)
    assert ratio[0] == expected or (math.isnan(expected) and math.isnan(ratio[0]))
    assert (low[0], high[0]) == (0.0, math.inf)


def test_inflation_is_one_under_the_null():
    stats = pytest.importorskip("scipy.stats")
    quantiles = stats.chi2.ppf((np.arange(9999) + 0.5) / 9999, df=1)
    assert inflation(quantiles) == pytest.approx(1.0, rel=1e-9)
    assert inflation(3 * quantiles) == pytest.approx(3.0, rel=1e-9)
    assert math.isnan(inflation(np.zeros(0)))


def test_false_discovery_rates_equal_scipys():
    stats = pytest.importorskip("scipy.stats")
    p = np.random.default_rng(1).random(50) ** 3
    p[3] = p[7]
    assert false_discovery(p, p) == pytest.approx(stats.false_discovery_control(p))
    assert false_discovery(p[[4, 2]], p) == pytest.approx(stats.false_discovery_control(p)[[4, 2]])


def test_a_confounder_inflates_only_what_does_not_know_it():
    generator = np.random.default_rng(2)
    strata = generator.integers(0, 2, 600)
    labels = generator.random(600) < np.where(strata, 0.9, 0.1)
    items = generator.random((600, 9)) < np.where(strata, 0.75, 0.3)[:, None]
    found = significant_patterns(items, labels, strata)
    assert found.inflation < 2
    assert found.inflation_pooled > 10
    assert len(found) == 0
    assert len(significant_patterns(items, labels)) > 100
