"""The search against enumeration of everything, and the laws it must keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from niwaki.patterns import PatternError, Progress, Search, pack, pack_columns, significant_patterns
from tests.patterns import brute
from tests.patterns.engines import ENGINES


@st.composite
def problems(draw, most_items=6, most_samples=36, most_strata=6):
    """Small tables in which something goes along with the label, with duplicates and constant columns among them."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    samples, width = draw(st.integers(16, most_samples)), draw(st.integers(1, most_items))
    items = generator.random((samples, width)) < draw(st.sampled_from([0.3, 0.5, 0.8]))
    if width > 2 and draw(st.booleans()):
        items[:, 1] = items[:, 0]
    strata = generator.integers(0, draw(st.integers(1, most_strata)), samples)
    planted = items[:, : 1 + width // 2].all(axis=1)
    labels = (planted ^ (generator.random(samples) < draw(st.sampled_from([0.0, 0.1, 0.4])))).astype(int)
    if labels.min() == labels.max():
        labels[0] = 1 - labels[0]
    return items, labels, strata


def _found(problem, search: Search, compiled):
    try:
        items, labels, strata = problem
        return significant_patterns(items, labels, strata, search, compiled=compiled)
    except PatternError as error:
        assert "no pattern could be significant" in str(error)
        return None


def _check_rows(found, hypotheses):
    truth = {t.items: t for t in hypotheses}
    for row in found:
        t = truth[row.items]
        assert row.support == len(t.samples)
        assert row.statistic == pytest.approx(float(t.statistic), rel=1e-12)
        assert row.p == pytest.approx(t.p, rel=1e-9)
        assert row.least_p == pytest.approx(t.least_p, rel=1e-9)
    assert list(found.p) == sorted(found.p)


@ENGINES
@given(problem=problems(), alpha=st.sampled_from([0.05, 0.2]), min_support=st.sampled_from([1, 1, 4]))
@settings(max_examples=40)
def test_the_exact_rule(compiled, problem, alpha, min_support):
    items, labels, strata = problem
    hypotheses = brute.tested(items.tolist(), labels.tolist(), strata.tolist(), min_support=min_support)
    K, names = brute.exact_rule(hypotheses, alpha)
    for passes in ("one", "two"):
        found = _found(problem, Search(alpha, passes=passes, min_support=min_support), compiled)
        if found is None:
            assert not names
            return
        assert set(found.items) == names
        assert len(found) == len(names)
        assert found.threshold == pytest.approx(alpha / K, rel=1e-12)
        assert found.testable == sum(t.least_p <= alpha / K for t in hypotheses)
        assert found.complete
        _check_rows(found, hypotheses)


@ENGINES
@pytest.mark.parametrize("rule", ["grid", "reference"])
@given(problem=problems(), alpha=st.sampled_from([0.05, 0.2]), passes=st.sampled_from(["one", "two"]))
@settings(max_examples=30)
def test_the_grid(compiled, rule, problem, alpha, passes):
    items, labels, strata = problem
    hypotheses = brute.tested(items.tolist(), labels.tolist(), strata.tolist())
    delta, count, names = brute.grid_rule(hypotheses, alpha, strict=rule == "grid")
    found = _found(problem, Search(alpha, rule, passes), compiled)
    if found is None:
        assert not names
        return
    assert set(found.items) == names
    assert found.testable == count
    assert found.threshold == pytest.approx(delta, rel=1e-12)
    _check_rows(found, hypotheses)


@ENGINES
@given(problem=problems(most_items=5), max_size=st.integers(1, 3), passes=st.sampled_from(["one", "two"]))
@settings(max_examples=40)
def test_small_patterns(compiled, problem, max_size, passes):
    items, labels, strata = problem
    hypotheses = brute.tested(items.tolist(), labels.tolist(), strata.tolist(), max_size=max_size)
    K, names = brute.exact_rule(hypotheses, 0.1)
    found = _found(problem, Search(0.1, passes=passes, max_size=max_size), compiled)
    if found is None:
        assert not names
        return
    assert set(found.items) == names
    assert found.threshold == pytest.approx(0.1 / K, rel=1e-12)
    _check_rows(found, hypotheses)


@ENGINES
def test_the_statistics_of_the_testable_patterns(compiled):
    generator = np.random.default_rng(3)
    items = generator.random((60, 7)) < 0.5
    strata = generator.integers(0, 3, 60)
    labels = (items[:, 1] & items[:, 4]) ^ (generator.random(60) < 0.05)
    found = significant_patterns(items, labels, strata, compiled=compiled)
    hypotheses = brute.tested(items.tolist(), labels.astype(int).tolist(), strata.tolist())
    testable = [t for t in hypotheses if t.least_p <= found.threshold]
    pooled = [brute.statistic(t.samples, labels.astype(int).tolist(), [0] * 60) for t in testable]
    median = 0.454936423119572  # of chi-squared with one degree of freedom
    assert found.inflation == pytest.approx(float(np.median([float(t.statistic) for t in testable])) / median)
    assert found.inflation_pooled == pytest.approx(float(np.median([float(t) for t in pooled])) / median)
    # Benjamini and Hochberg by their definition: the least share of false ones at which a pattern is called.
    ps = sorted(t.p for t in testable)
    for row in found:
        q = min(len(ps) * p / sum(r <= p * (1 + 1e-9) for r in ps) for p in ps if p >= row.p * (1 - 1e-9))
        assert row.q == pytest.approx(min(q, 1.0))
    assert len(found) > 1


@ENGINES
@given(problem=problems(), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_things_does_not_matter(compiled, problem, seed):
    items, labels, strata = problem
    generator = np.random.default_rng(seed)
    first = _found(problem, Search(0.2), compiled)
    if first is None:
        return
    rows, columns = generator.permutation(len(labels)), generator.permutation(items.shape[1])
    names = generator.permutation(1000)[: strata.max() + 1]  # other names of the strata, in another order
    again = significant_patterns(
        items[rows][:, columns], 1 - labels[rows], names[strata[rows]], Search(0.2), compiled=compiled
    )
    assert {tuple(sorted(columns[list(i)])) for i in again.items} == set(first.items)
    assert again.testable == first.testable
    assert sorted(again.p) == pytest.approx(sorted(first.p), rel=1e-9)


@ENGINES
def test_equal_items_count_once(compiled):
    generator = np.random.default_rng(5)
    items = generator.random((80, 5)) < 0.5
    labels, strata = items[:, 0] & items[:, 3], generator.integers(0, 2, 80)
    alone = significant_patterns(items, labels, strata, compiled=compiled)
    doubled = significant_patterns(items[:, [0, 1, 2, 3, 4, 3, 0]], labels, strata, compiled=compiled)
    assert doubled.testable == alone.testable
    assert doubled[0].items == (0, 3, 5, 6)
    assert len(doubled) == len(alone)


@ENGINES
def test_items_that_say_nothing_are_left_out(compiled):
    generator = np.random.default_rng(6)
    items = generator.random((80, 4)) < 0.5
    labels = items[:, 0]
    padded = np.column_stack([np.ones(80, bool), items, np.zeros(80, bool)])
    found = significant_patterns(padded, labels, compiled=compiled)
    assert found[0].items == (1,)
    assert found.testable == significant_patterns(items, labels, compiled=compiled).testable
    nothing = significant_patterns(padded[:, [0, 5]], labels, compiled=compiled)
    assert len(nothing) == nothing.testable == 0
    assert math.isnan(nothing.inflation)


@ENGINES
def test_more_words_and_more_depth_than_at_first(compiled):
    # 20 nested items give a chain 20 deep; the memory for it has to grow on the way.
    samples = 400
    items = np.arange(samples)[:, None] >= np.arange(20)[None] * 15 + 15
    labels = np.arange(samples) >= 200
    found = significant_patterns(items, labels, np.arange(samples) % 3, compiled=compiled)
    assert found.testable == 20  # every pattern is one of the 20 tails
    assert {len(i) for i in found.items} == set(range(1, 21)) & {len(i) for i in found.items}
    # The tail that begins at 195 holds 205 samples, 200 of label 1; the items before it hold there, too.
    assert found[0].items == tuple(range(13))
    assert (found[0].support, found[0].cases) == (205, 200)


@ENGINES
def test_packed_items_are_the_same_items(compiled):
    generator = np.random.default_rng(7)
    items = generator.random((90, 6)) < 0.5
    labels, strata = items[:, 2] ^ (generator.random(90) < 0.1), generator.integers(0, 3, 90)
    plain = significant_patterns(items, labels, strata, compiled=compiled)
    columns = [np.flatnonzero(column) for column in items.T]
    starts = np.cumsum([0, *map(len, columns)])
    for packed in (pack(items), pack_columns(starts, np.concatenate(columns), 90)):
        found = significant_patterns(packed, labels, strata, compiled=compiled)
        assert found.items == plain.items
        assert found.p.tolist() == plain.p.tolist()
    assert len(plain)


def test_both_engines_give_the_same_to_the_last_bit():
    pytest.importorskip("numba", reason="numba is not installed")
    generator = np.random.default_rng(8)
    items = generator.random((300, 12)) < 0.5
    labels, strata = items[:, :2].all(axis=1) ^ (generator.random(300) < 0.2), generator.integers(0, 12, 300)
    for rule in ("exact", "grid", "reference"):
        one, other = (significant_patterns(items, labels, strata, Search(rule=rule), compiled=c) for c in (True, False))
        assert one.items == other.items
        assert one.statistic.tolist() == other.statistic.tolist()
        assert one.testable == other.testable
        assert one.inflation == other.inflation


@ENGINES
def test_progress_goes_forward(compiled):
    generator = np.random.default_rng(9)
    items = generator.random((200, 16)) < 0.5
    labels = items[:, 0] ^ (generator.random(200) < 0.3)
    seen: list[Progress] = []
    search = Search(passes="two")
    found = significant_patterns(items, labels, None, search, compiled=compiled, progress=seen.append)
    for stage in ("search", "collect"):
        told = [p for p in seen if p.stage == stage]
        assert told[-1].share == 1.0
        assert [p.share for p in told] == sorted(p.share for p in told)
        assert [p.visited for p in told] == sorted(p.visited for p in told)
    thresholds = [p.threshold for p in seen if p.stage == "search"]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] == found.threshold
    assert seen[-1].visited == found.visited
