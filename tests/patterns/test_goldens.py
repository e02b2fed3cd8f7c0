"""Real data with what the authors' programs and independent brute force give for it."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from niwaki.patterns import Search, significant_patterns
from tests.patterns.engines import COMPILED, DATA, ENGINES, NEEDS_DATA

pytestmark = NEEDS_DATA


def _read(name):
    plain = DATA / f"{name}_transactions.dat"
    text = plain.read_text() if plain.exists() else gzip.decompress(plain.with_suffix(".dat.gz").read_bytes()).decode()
    rows = [[int(word) for word in line.split()] for line in text.splitlines()]
    names = sorted({item for row in rows for item in row})
    items = np.zeros((len(rows), len(names)), bool)
    for i, row in enumerate(rows):
        items[i, np.searchsorted(names, row)] = True
    labels, strata = (np.loadtxt(DATA / f"{name}_{part}.dat", dtype=int) for part in ("labels", "covariates"))
    return items, labels, strata, names


@pytest.fixture(scope="module")
def tictactoe():
    return _read("tictactoe")


@pytest.fixture(scope="module")
def mushroom():
    return _read("mushroom")


@ENGINES
@pytest.mark.parametrize(
    ("rule", "significant", "testable", "threshold", "level"),
    [
        ("exact", 364, 3755, 0.05 / 3755, 0.05 / 3755),
        ("grid", 362, 3525, 1.20226e-05, 1.41844e-05),
        ("reference", 365, 3525, 1.20226e-05, 1.41844e-05),
    ],
)
def test_tictactoe(tictactoe, compiled, rule, significant, testable, threshold, level):
    items, labels, strata, names = tictactoe
    found = significant_patterns(items, labels, strata, Search(rule=rule), compiled=compiled)
    assert (len(found), found.testable) == (significant, testable)
    assert found.threshold == pytest.approx(threshold, rel=1e-5)
    assert found.level == pytest.approx(level, rel=1e-5)
    assert found.strata_sizes == (484, 474)
    assert found.strata_labels == (165, 167)
    assert found.p[:3] == pytest.approx([4.90749e-26, 2.00392e-23, 2.25701e-23], rel=1e-5)
    best = [(row.cases, *row.strata_support, {names[item] for item in row.items}) for row in found][:3]
    assert best == [(192, 182, 158, {9}), (50, 25, 25, {1, 17, 9}), (50, 21, 29, {13, 5, 9})]
    assert found[0].statistic == pytest.approx(111.3708803, rel=1e-9)
    if rule != "exact":
        assert found.inflation == pytest.approx(7, abs=0.1)  # 6.99 over a slightly larger set of patterns


@ENGINES
def test_tictactoe_without_the_covariate_is_lamp(tictactoe, compiled):
    items, labels, _, _ = tictactoe
    found = significant_patterns(items, labels, compiled=compiled)
    assert (len(found), found.testable) == (366, 3798)
    assert found.level == pytest.approx(1.31648e-05, rel=1e-5)
    assert found.inflation == found.inflation_pooled


@pytest.mark.parametrize("compiled", [COMPILED])
def test_mushroom(mushroom, compiled):
    items, labels, strata, _ = mushroom
    found = significant_patterns(items, labels, strata, Search(rule="reference"), compiled=compiled)
    assert found.testable == 94910
    assert found.threshold == pytest.approx(5.01187e-07, rel=1e-5)
    assert found.level == pytest.approx(5.26815e-07, rel=1e-5)
    # The authors' program lists 66,404 of these; which, depends on the order in which it meets them.
    assert len(found) == 66408
    strict = significant_patterns(items, labels, strata, Search(rule="grid"), compiled=compiled)
    assert len(strict) == 66342
    assert strict.testable == 94910
    assert strict.inflation == pytest.approx(85.3, rel=0.005)
    assert len({*strict.items} - {*found.items}) == 0


@pytest.mark.parametrize("compiled", [COMPILED])
def test_mushroom_without_the_covariate_is_lamp(mushroom, compiled):
    items, labels, _, _ = mushroom
    found = significant_patterns(items, labels, search=Search(rule="reference"), compiled=compiled)
    assert found.testable == 95049
    assert found.level == pytest.approx(5.26044e-07, rel=1e-5)
    assert found.inflation == pytest.approx(85.4, rel=0.005)
    assert len(found) == 66460
