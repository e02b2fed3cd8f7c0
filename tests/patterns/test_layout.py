"""Items as bits: every sample has its place, and only cells share words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwaki.patterns.layout import lay_out, pack, supports


@given(seed=st.integers(0, 2**32), samples=st.integers(2, 300), strata=st.integers(1, 5), width=st.integers(1, 90))
def test_bits_are_the_table(seed, samples, strata, width):
    generator = np.random.default_rng(seed)
    items = generator.random((samples, width)) < generator.random(width)
    labels = generator.random(samples) < 0.5
    _, covariate = np.unique(generator.integers(0, strata, samples), return_inverse=True)
    for table in (items, pack(items)):
        layout = lay_out(table, labels, covariate, 2)
        support = items.sum(axis=0)
        assert sorted(layout.columns) == np.flatnonzero((support >= 2) & (support < samples)).tolist()
        assert support[layout.columns].tolist() == sorted(support[layout.columns])  # rare ones first
        for j in range(len(layout.sizes)):
            for cell, label in ((2 * j, True), (2 * j + 1, False)):
                here = (covariate == j) & (labels == label)
                words = slice(layout.cells[cell], layout.cells[cell + 1])
                counts = np.bitwise_count(layout.bits[:, words]).sum(axis=1)
                assert counts.tolist() == items[here][:, layout.columns].sum(axis=0).tolist()
                assert np.bitwise_count(layout.full[words]).sum() == here.sum()
                assert words.stop - words.start == -(-here.sum() // 64)
            assert (layout.sizes[j], layout.ones[j]) == ((covariate == j).sum(), labels[covariate == j].sum())
        # The same samples hold two items together, not only as many.
        if len(layout.columns) > 1:
            both = np.bitwise_count(layout.bits[:-1] & layout.bits[1:]).sum(axis=1)
            kept = items[:, layout.columns]
            assert both.tolist() == (kept[:, :-1] & kept[:, 1:]).sum(axis=0).tolist()
        assert not (layout.bits & ~layout.full).any()


def test_bits_behind_the_last_sample_do_not_count():
    packed = pack(np.ones((11, 2), bool))
    packed.bits[:, 1] = 0xFF  # five more than there are
    assert supports(packed).tolist() == [11, 11]
