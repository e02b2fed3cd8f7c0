"""What cannot be searched is refused with what is wrong, where, and what to do."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.patterns import Packed, PatternError, Search, significant_patterns

ITEMS = np.random.default_rng(0).random((40, 3)) < 0.5
LABELS = ITEMS[:, 0].astype(int)


def _holed(value, place=(3, 1), table=ITEMS):
    table = table.astype(float)
    table[place] = value
    return table


@pytest.mark.parametrize(
    ("items", "labels", "strata", "message"),
    [
        (ITEMS[:0], LABELS[:0], None, "there are 0 samples and 3 items; give at least one of each"),
        (ITEMS[:, :0], LABELS, None, "there are 40 samples and 0 items"),
        (ITEMS[:, 0], LABELS, None, r"items have shape \(40,\); give a table \[samples, items\]"),
        (_holed(np.nan), LABELS, None, r"items hold no value at sample 3, item 1 \(nan\); decide what it means first"),
        (_holed(2), LABELS, None, "items must be 0 and 1, but sample 3, item 1 is 2.0; bin such columns first"),
        (ITEMS.astype(str), LABELS, None, "items are <U5; give booleans, or 0 and 1"),
        (ITEMS, LABELS[:7], None, r"labels have shape \(7,\), but there are 40 samples; give one for each"),
        (ITEMS, LABELS + 1, None, "labels must be 0 and 1, but there are 2; name one class 1, the rest 0"),
        (ITEMS, np.arange(40), None, "labels must be 0 and 1, but there are 2, 3, 4, 5, 6 ...;"),
        (ITEMS, np.zeros(40), None, "all 40 labels are 0; there is nothing to tell apart"),
        (ITEMS, ["yes"] * 40, None, "labels are <U3; give whole numbers"),
        (ITEMS, _holed(np.nan, 5, LABELS), None, "labels hold nan at sample 5; leave such samples out"),
        (ITEMS, LABELS, np.zeros(7), r"strata have shape \(7,\), but there are 40 samples"),
        (ITEMS, LABELS, np.arange(40) / 2, "strata must be whole numbers, but there is 0.5; number the levels"),
        (ITEMS, LABELS, _holed(np.inf, 0, LABELS), "strata hold inf at sample 0"),
        (ITEMS[:4], np.array([0, 1, 1, 0]), None, "no pattern could be significant at alpha=0.01: with 4 samples in 1"),
        (ITEMS, LABELS, np.arange(40), "in 40 strata the smallest p-value in reach is 1; it takes more samples"),
        (ITEMS, LABELS, LABELS, "fewer strata, or strata that hold both labels"),
    ],
)  # fmt: skip
def test_bad_data(items, labels, strata, message):
    with pytest.raises(PatternError, match=message):
        significant_patterns(items, labels, strata, Search(alpha=0.01), compiled=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0}, r"alpha=0 is outside \(0, 1\)"),
        ({"alpha": float("nan")}, "alpha=nan is outside"),
        ({"confidence": 1.0}, r"confidence=1.0 is outside \(0, 1\)"),
        ({"rule": "best"}, "rule='best' is unknown; choose from exact, grid, reference"),
        ({"passes": 2}, "passes=2 is unknown; choose from one, two"),
        ({"max_size": 0}, "max_size=0 is not a whole number of at least 1"),
        ({"min_support": 1.5}, "min_support=1.5 is not a whole number of at least 1"),
        ({"min_support": None}, "min_support=None is not a whole number"),
        ({"permutations": True}, "permutations=True is not a whole number of at least 0"),
        ({"seed": -1}, "seed=-1 is not a whole number of at least 0"),
        ({"permutations": 18}, "18 permutations cannot show anything at alpha=0.05; take at least 19, better 10,000"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(PatternError, match=message):
        Search(**settings)


def test_the_fewest_permutations_are_enough():
    assert Search(permutations=19).permutations == 19


def test_packed_items_must_fit_their_samples():
    with pytest.raises(PatternError, match=r"shape \(3, 2\); 40 samples need uint8 of shape \[items, 5\]"):
        Packed(np.zeros((3, 2), np.uint8), 40)


def test_labels_may_be_flags_and_strata_any_whole_numbers():
    found = significant_patterns(ITEMS, LABELS.astype(bool), np.where(np.arange(40) < 20, -7, 3.0), compiled=False)
    assert found.strata == (-7, 3)
    assert found.strata_sizes == (20, 20)
    assert found[0].items == (0,)


def test_a_stratum_of_one_label_changes_nothing():
    generator = np.random.default_rng(1)
    items, strata = generator.random((90, 5)) < 0.5, np.repeat([0, 1, 2], 30)
    labels = items[:, 2] ^ (generator.random(90) < 0.1)
    labels[strata == 2] = True
    with_it = significant_patterns(items, labels, strata, compiled=False)
    without = significant_patterns(items[:60], labels[:60], strata[:60], compiled=False)
    assert with_it.statistic[0] == pytest.approx(without.statistic[0], rel=1e-12)
    assert with_it[0].items == without[0].items == (2,)
