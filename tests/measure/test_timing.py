"""Two durations in one run, by a clock that the test turns."""

from __future__ import annotations

import pytest
import torch

from niwaki.core import TrainError
from niwaki.measure import compare_times


class Clock:
    """Stands still unless a call turns it; every call takes the seconds it is told."""

    def __init__(self):
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self):
        return self.now

    def job(self, name, *seconds):
        turns = iter(seconds)

        def call():
            self.calls.append(name)
            self.now += next(turns)

        return call


def test_medians_and_spread_of_the_timed_rounds():
    clock = Clock()
    # One round to warm up (100 s against 1 s), then ratios 2, 3, 4, 5, 30: median of a 4, of b 1, quartiles 3 and 5.
    a, b = clock.job("a", 100, 2, 3, 4, 5, 30), clock.job("b", 1, 1, 1, 1, 1, 1)
    found = compare_times(a, b, rounds=5, warmup=1, clock=clock)
    assert (found.median_a, found.median_b, found.ratio, found.spread) == pytest.approx((4, 1, 4, 2))


def test_turns_alternate():
    clock = Clock()
    compare_times(clock.job("a", *[1] * 4), clock.job("b", *[1] * 4), rounds=3, warmup=1, clock=clock)
    assert "".join(clock.calls) == "abbaabba"


def test_a_drift_of_the_machine_cancels():
    clock = Clock()
    slower = [2.0**i for i in range(10)]
    found = compare_times(
        clock.job("a", *[3 * s for s in slower]), clock.job("b", *slower), rounds=10, warmup=0, clock=clock
    )
    assert (found.ratio, found.spread) == pytest.approx((3, 0))


@pytest.mark.parametrize(("rounds", "warmup"), [(1, 0), (5, -1)])
def test_too_few_rounds(rounds, warmup):
    with pytest.raises(TrainError, match=f"two rounds or more and no negative warmup, not {rounds} and {warmup}"):
        compare_times(lambda: None, lambda: None, rounds=rounds, warmup=warmup)


def test_a_clock_too_coarse():
    with pytest.raises(TrainError, match="took no time at all by this clock"):
        compare_times(lambda: None, lambda: None, rounds=2, warmup=0, clock=lambda: 1.0)


def test_what_an_accelerator_has_still_to_do_counts(monkeypatch):
    clock, waiting = Clock(), [0.0]

    def synchronize():
        clock.now += waiting[0]
        waiting[0] = 0.0

    def given(seconds):
        return lambda: waiting.__setitem__(0, waiting[0] + seconds)

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("mps"))
    monkeypatch.setattr(torch.accelerator, "synchronize", synchronize)
    found = compare_times(given(6.0), given(2.0), rounds=3, warmup=1, clock=clock)
    assert (found.median_a, found.median_b, found.ratio) == (6.0, 2.0, 3.0)


def test_the_real_clock_runs():
    found = compare_times(lambda: sum(range(20_000)), lambda: sum(range(2_000)), rounds=5, warmup=1)
    assert found.median_a > found.median_b > 0
