"""Schedules: values worked by hand, bounds, direction, and the way to JSON and back."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from niwaki.core import BudgetError, TrainError
from niwaki.moves.schedules import (
    Curve,
    constant,
    cosine,
    cubic,
    exponential,
    geometric,
    linear,
    polynomial,
    rigl_cosine,
)


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (constant(0.3), {0: 0.3, 1: 0.3, 10_000: 0.3}),
        (linear(1.0, 0.2, 8), {0: 1.0, 2: 0.8, 4: 0.6, 8: 0.2, 9: 0.2}),
        (linear(0.0, 1.0, 4, begin=10), {0: 0.0, 10: 0.0, 11: 0.25, 14: 1.0, 99: 1.0}),
        # Half a cosine: (1 + cos 60 deg) / 2 = 3/4 at a third, 1/4 at two thirds.
        (cosine(1.0, 0.0, 6), {0: 1.0, 2: 0.75, 3: 0.5, 4: 0.25, 6: 0.0}),
        (rigl_cosine(0.3, 75), {0: 0.3, 25: 0.225, 50: 0.075, 75: 0.0, 100: 0.0}),
        # s_t = s_f + (s_i - s_f)(1 - t/n)^3 in sparsities 0 -> 0.9: halfway 0.9 - 0.9 / 8 = 0.7875 pruned.
        (cubic(1.0, 0.1, 100, begin=50), {0: 1.0, 50: 1.0, 100: 0.2125, 125: 0.1 + 0.9 / 64, 150: 0.1, 151: 0.1}),
        (polynomial(0.4, 10, 2.0), {0: 0.4, 5: 0.1, 9: 0.004, 10: 0.0, 11: 0.0}),
        (exponential(0.3, 10), {0: 0.3, 2: 0.3 / math.e, 10: 0.3 * math.exp(-5), 20: 0.3 * math.exp(-5)}),
        # Four equal factors of 10 ** -0.5 from 1 to 1/100.
        (geometric(1.0, 0.01, 4), {0: 1.0, 1: 10**-0.5, 2: 0.1, 3: 10**-1.5, 4: 0.01, 5: 0.01}),
    ],
)
def test_by_hand(schedule, values):
    assert {step: schedule(step) for step in values} == pytest.approx(values, abs=1e-12)


def test_ends_are_met_exactly():
    for schedule in (linear(0.3, 0.1, 7), cosine(0.3, 0.1, 7), cubic(0.3, 0.1, 7), geometric(0.3, 0.1, 7)):
        assert (schedule(0), schedule(7), schedule(8)) == (0.3, 0.1, 0.1)
    assert rigl_cosine(0.3, 7)(7) == 0.0


def published_rigl(alpha, end, step):
    return alpha / 2 * (1 + math.cos(math.pi * step / end)) if step < end else 0.0


@given(st.floats(0, 1), st.integers(1, 500), st.integers(0, 600))
def test_rigl_cosine_is_the_published_formula(alpha, end, step):
    assert rigl_cosine(alpha, end)(step) == pytest.approx(published_rigl(alpha, end, step), abs=1e-12)


DENSITY = st.floats(1e-3, 1.0)
CURVES = st.one_of(
    st.builds(linear, DENSITY, DENSITY, st.integers(1, 50), st.integers(0, 20)),
    st.builds(cosine, DENSITY, DENSITY, st.integers(1, 50), st.integers(0, 20)),
    st.builds(cubic, DENSITY, DENSITY, st.integers(1, 50), st.integers(0, 20)),
    st.builds(geometric, DENSITY, DENSITY, st.integers(1, 50), st.integers(0, 20)),
    st.builds(polynomial, DENSITY, st.integers(1, 50), st.floats(0.1, 5)),
    st.builds(exponential, DENSITY, st.integers(1, 50), st.floats(0.1, 9)),
    st.builds(rigl_cosine, DENSITY, st.integers(1, 50)),
    st.builds(constant, DENSITY),
)


@given(CURVES)
def test_values_run_one_way_between_the_ends(curve):
    values = [curve(step) for step in range(curve.begin + curve.steps + 3)]
    assert all(min(curve.start, curve.end) <= v <= max(curve.start, curve.end) for v in values)
    steps = [b - a for a, b in zip(values, values[1:], strict=False)]
    sign = math.copysign(1, curve.end - curve.start)
    assert all(sign * step >= -1e-15 for step in steps)
    assert (values[0], values[-1]) == (curve.start, curve.end)


@given(CURVES)
def test_to_json_and_pickle_and_back(curve):
    again = Curve(**json.loads(json.dumps(asdict(curve))))
    assert again == curve
    assert again(curve.steps // 2) == curve(curve.steps // 2)
    assert pickle.loads(pickle.dumps(curve)) == curve


def test_it_prints_what_it_is():
    assert repr(cosine(0.3, 0.0, 10)) == "Curve(law='cosine', start=0.3, end=0.0, steps=10, begin=0, rate=1.0)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: linear(1, 0, 0), TrainError, "0 steps from step 0 on is no span of time"),
        (lambda: rigl_cosine(0.3, -5), TrainError, "-5 steps from step 0 on"),
        (lambda: linear(1, 0, 5, begin=-1), TrainError, "5 steps from step -1 on"),
        (lambda: Curve("sine", 0, 1), TrainError, "law 'sine' is unknown; choose from linear, cosine"),
        (lambda: linear(float("nan"), 0, 5), BudgetError, "holds a value that is not finite"),
        (lambda: polynomial(0.3, 5, 0), BudgetError, "rate of 0 makes no way"),
        (lambda: exponential(0.3, 5, decay=-1000.0), BudgetError, r"rate of -1000\.0 makes no way"),
        (lambda: geometric(1.0, 0.0, 5), BudgetError, r"needs values above 0, not 1\.0 and 0\.0"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_share_that_does_not_fall_is_constant():
    assert [exponential(0.3, 10, decay=0)(step) for step in (0, 5, 20)] == [0.3] * 3
