"""Every pattern stands on the last rung that it reaches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.patterns.ladder import LINEAR, RUNGS_EXACT, RUNGS_GRID, capacity, rung_of

ENDS = {True: RUNGS_EXACT, False: RUNGS_GRID}


@pytest.mark.parametrize("exact", [True, False])
@given(log=st.floats(-29.9, 0), alpha=st.sampled_from([0.01, 0.05, 0.3]))
def test_a_rung_is_the_last_whose_threshold_is_reached(exact, log, alpha):
    p = 10**log
    rung = rung_of(p, exact, alpha)
    if alpha / p > 1e18 and exact:
        return  # beyond it all stand on one rung
    assert rung < ENDS[exact]
    if rung >= 0:
        assert p <= alpha / capacity(rung, exact, alpha) * (1 + 1e-9)
    assert p > alpha / capacity(rung + 1, exact, alpha) * (1 - 1e-9)


@pytest.mark.parametrize("exact", [True, False])
def test_what_is_smaller_than_all_thresholds_stands_at_the_end(exact):
    assert 0 < rung_of(0.0, exact, 0.05) < ENDS[exact]
    assert rung_of(0.0, exact, 0.05) == rung_of(1e-100, exact, 0.05)


def test_the_exact_ladder_counts_in_whole_numbers_and_then_in_small_steps():
    assert [capacity(rung, True, 0.05) for rung in (0, 1, LINEAR - 1)] == [1, 2, LINEAR]
    far = np.array([capacity(rung, True, 0.05) for rung in range(LINEAR - 1, LINEAR + 1000)])
    assert (np.diff(far) > 0).all()
    assert (far[1:] / far[:-1] < 1 + 1 / 16000).all()


def test_the_grid_is_that_of_the_authors():
    thresholds = [0.05 / capacity(rung, False, 0.05) for rung in (1, 82, 500)]
    assert thresholds == pytest.approx([0.870963589956, 1.20226443461741e-05, 1e-30], rel=1e-10)
