"""Westfall and Young: labels shuffled within the strata, against brute force over the same shuffles."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.patterns import Search, significant_patterns
from niwaki.patterns.layout import lay_out
from niwaki.patterns.shuffling import allowed, shuffled
from tests.patterns import brute
from tests.patterns.engines import ENGINES


def _data(seed, samples=60, width=6, strata=3, noise=0.1):
    generator = np.random.default_rng(seed)
    items = generator.random((samples, width)) < 0.5
    labels = (items[:, 1] & items[:, 4]) ^ (generator.random(samples) < noise)
    return items, labels.astype(int), generator.integers(0, strata, samples)


def _labels_of(masks, slots, samples_in_order, count):
    """Every shuffle as labels of the samples in their first order, ``[shuffles, samples]``."""
    bits = (masks[slots // 64] >> (slots % 64).astype(np.uint64)[:, None]) & np.uint64(1)
    labels = np.zeros((count, len(slots)), int)
    labels[:, samples_in_order] = bits.T
    return labels


def _ordered(items, labels, strata, layout):
    """Which sample stands in which slot, found by the items they hold."""
    order = np.lexsort((np.zeros(len(labels)), 1 - labels, strata))
    slots_of: dict[tuple[bool, ...], list[int]] = {}
    for slot in layout.slots.tolist():
        row = tuple(bool(word) for word in (layout.bits[:, slot // 64] >> np.uint64(slot % 64)) & np.uint64(1))
        slots_of.setdefault(row, []).append(slot)
    assert len(order) == sum(map(len, slots_of.values()))
    cell = np.searchsorted(layout.cells * 64, layout.slots, side="right") - 1
    left = {slot: int(c) for slot, c in zip(layout.slots.tolist(), cell, strict=True)}
    samples = np.zeros(len(labels), int)
    place = {slot: i for i, slot in enumerate(layout.slots.tolist())}
    for sample in range(len(labels)):
        row = tuple(bool(v) for v in items[sample][layout.columns])
        wanted = 2 * int(strata[sample]) + (1 - int(labels[sample]))
        slot = next(s for s in slots_of[row] if left[s] == wanted)
        slots_of[row].remove(slot)
        samples[place[slot]] = sample
    return samples


@ENGINES
@pytest.mark.parametrize("passes", ["one", "two"])
def test_the_threshold_is_that_of_all_patterns_under_the_same_shuffles(compiled, passes):
    items, labels, strata = _data(0)
    search = Search(alpha=0.1, permutations=99, seed=5, passes=passes)
    found = significant_patterns(items, labels, strata, search, compiled=compiled)
    layout = lay_out(items, labels.astype(bool), strata, 1)
    fakes = _labels_of(shuffled(layout, 99, 5).masks, layout.slots, _ordered(items, labels, strata, layout), 99)
    hypotheses = brute.tested(items.tolist(), labels.tolist(), strata.tolist())
    maxima = sorted(
        max(float(brute.statistic(t.samples, fake.tolist(), strata.tolist())) for t in hypotheses) for fake in fakes
    )
    adjusted = {t.items: (1 + sum(m >= float(t.statistic) * (1 - 1e-9) for m in maxima)) / 100 for t in hypotheses}
    assert set(found.items) == {items for items, p in adjusted.items() if p <= 0.1}
    assert len(found) > 0
    assert found.adjusted is not None
    assert found.adjusted.tolist() == pytest.approx([adjusted[row.items] for row in found])
    # Nine shuffles may reach a significant pattern: 10 of 100 with the labels as they are.
    assert found.level == pytest.approx(brute.tail(maxima[-10]), rel=1e-9)


def test_shuffles_stay_within_the_strata():
    items, labels, strata = _data(1, strata=4)
    layout = lay_out(items, labels.astype(bool), strata, 1)
    shuffles = shuffled(layout, 600, 3)
    fakes = _labels_of(shuffles.masks, layout.slots, _ordered(items, labels, strata, layout), 600)
    for level in range(4):
        here = strata == level
        assert set(fakes[:, here].sum(axis=1).tolist()) == {int(labels[here].sum())}
        # Every sample of a stratum gets label 1 equally often; 5 standard deviations of a binomial share.
        share = labels[here].mean()
        assert np.abs(fakes[:, here].mean(axis=0) - share).max() < 5 * np.sqrt(share * (1 - share) / 600) + 1e-12
    assert len({fake.tobytes() for fake in fakes}) == 600
    assert (shuffled(layout, 600, 3).masks == shuffles.masks).all()
    assert (shuffled(layout, 600, 4).masks != shuffles.masks).any()


@pytest.mark.parametrize(("alpha", "permutations"), [(0.05, 19), (0.05, 10_000), (0.01, 99), (0.05, 999), (0.2, 7)])
def test_the_bound_counts_the_labels_as_they_are(alpha, permutations):
    few = allowed(alpha, permutations)
    assert (1 + few) / (1 + permutations) <= alpha * (1 + 1e-9)
    assert (2 + few) / (1 + permutations) > alpha


@ENGINES
def test_shuffles_find_no_less_than_counting_where_patterns_depend_on_each_other(compiled):
    # Twelve copies of nearly the same item: counting pays for each pattern, shuffling knows that they move together.
    generator = np.random.default_rng(2)
    base = generator.random(120) < 0.5
    items = np.column_stack([base ^ (generator.random(120) < 0.04) for _ in range(7)])
    labels = base ^ (generator.random(120) < 0.42)
    strata = generator.integers(0, 2, 120)
    counted = significant_patterns(items, labels, strata, compiled=compiled)
    shuffles = significant_patterns(items, labels, strata, Search(permutations=400), compiled=compiled)
    assert shuffles.level > counted.level
    assert set(counted.items) <= set(shuffles.items)
