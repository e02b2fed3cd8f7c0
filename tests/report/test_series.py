"""Thinning, averaging and reading off curves, against numpy and hand-worked numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from niwaki.report.series import Curve, curve, envelope, over_seeds, smoothed, thin, value_at

_values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400)


def _line(values) -> Curve:
    return Curve(np.arange(len(values), dtype=np.float64), np.array(values, dtype=np.float64))


@given(_values, st.integers(4, 60))
def test_thinning_keeps_ends_and_extremes(values, most):
    line = _line(values)
    out = thin(line, most)
    assert len(out) <= max(most, min(len(line), most))
    assert (out.y.min(), out.y.max()) == (min(values), max(values))
    assert (out.x[0], out.x[-1]) == (0, len(values) - 1)
    # Nothing is made up: every point was there, in the same order.
    assert (np.diff(out.x) > 0).all()
    assert (out.y == line.y[out.x.astype(int)]).all()


def test_thinning_keeps_a_single_spike_of_a_long_run():
    values = np.zeros(100_000)
    values[67_123] = 9.0
    out = thin(_line(values), 300)
    assert len(out) <= 300
    assert out.x[out.y.argmax()] == 67_123


def test_thinning_takes_the_band_along():
    y = np.arange(100.0)
    out = thin(Curve(np.arange(100.0), y, y - 1, y + 2), 20)
    assert out.low is not None
    assert out.high is not None
    assert (out.y - out.low == 1).all()
    assert (out.high - out.y == 2).all()


@given(_values, st.integers(1, 50))
def test_the_envelope_holds_every_value(values, stretches):
    line = _line(values)
    edges = np.linspace(0, len(values), stretches + 1)
    out = envelope(line, edges)
    assert out.low is not None
    assert out.high is not None
    assert (out.low.min(), out.high.max()) == (min(values), max(values))
    for i, (x, y) in enumerate(zip(out.x, out.y, strict=True)):
        inside = [v for k, v in enumerate(values) if edges[:-1][edges[:-1] <= x][-1] <= k < edges[1:][edges[1:] > x][0]]
        assert np.isclose(y, np.mean(inside))
        assert (out.low[i], out.high[i]) == (min(inside), max(inside))


def test_seeds_on_one_grid_give_mean_and_range():
    rng = np.random.default_rng(0)
    x, values = np.arange(5.0), rng.normal(size=(3, 5))
    out = over_seeds([Curve(x, row) for row in values])
    np.testing.assert_allclose(out.y, values.mean(0))
    np.testing.assert_allclose(out.low, values.min(0))
    np.testing.assert_allclose(out.high, values.max(0))


def test_seeds_on_different_grids_meet_where_all_have_something_to_say():
    # y = 2 x on [0, 4] and y = 10 - x on [1, 5]: both lines are straight, so reading them off between points is exact.
    one = Curve(np.array([0.0, 4.0]), np.array([0.0, 8.0]))
    two = Curve(np.array([1.0, 3.0, 5.0]), np.array([9.0, 7.0, 5.0]))
    out = over_seeds([one, two])
    assert out.x.tolist() == [1, 3, 4]
    assert out.y.tolist() == [5.5, 6.5, 7.0]


def test_a_long_run_is_averaged_over_equal_stretches():
    # 1000 points, stretches of 10: steps 1..9, 10..19, ..., 990..1000.
    x = np.arange(1.0, 1001.0)
    out = smoothed([Curve(x, x)], 10.0)
    assert len(out) == 100
    assert out.y[0] == np.arange(1, 10).mean()
    assert out.y[1] == np.arange(10, 20).mean()
    assert out.y[-1] == np.arange(990, 1001).mean()
    assert out.low is not None
    assert out.low[1] == 10


def test_short_runs_are_left_alone():
    line = Curve(np.array([1.0, 50.0, 100.0]), np.array([3.0, 1.0, 2.0]))
    out = smoothed([line], 10.0)
    assert out.x.tolist() == [1, 50, 100]
    assert out.low is None


def test_reading_off_lies_on_the_line_and_nowhere_else():
    line = Curve(np.array([10.0, 20.0]), np.array([1.0, 2.0]))
    assert value_at(line, 12.5) == 1.25
    assert value_at(line, 9.9) is None
    assert value_at(line, 20.1) is None
    assert value_at(curve([], "a", "b"), 1.0) is None
