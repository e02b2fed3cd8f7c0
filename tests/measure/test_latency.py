"""Latency by a clock that the test turns, and its doubt by simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import TrainError
from niwaki.measure import latency


class Clock:
    """Stands still unless a call turns it."""

    def __init__(self):
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self):
        return self.now

    def job(self, name, durations):
        turns = iter(durations)

        def call(*args, **kwargs):
            self.calls.append(name)
            self.now += next(turns)

        return call


def _measured(durations, **more):
    """Latency of simulated models; durations by name, the two of the trial first."""
    clock = Clock()
    jobs = {name: clock.job(name, found) for name, found in durations.items()}
    given = {"rounds": 4, "warmup": 0, "at_least": 0.0, "attempts": 1} | more
    return latency(jobs, torch.zeros(1), clock=clock, **given), clock


def test_medians_spreads_and_ratios_by_hand():
    # a: 2, 4, 4, 6: median 4, quartiles 3.5 and 4.5. b: always half.
    found, _ = _measured({"a": [9, 9, 2, 4, 4, 6], "b": [9, 9, 1, 2, 2, 3]})
    a, b = found.rows
    assert (a.median, a.spread, a.ratio, a.low, a.high) == (4, 0.25, 1, 1, 1)
    assert (b.median, b.spread, b.ratio) == (2, 0.25, 0.5)
    assert b.seconds == (1, 2, 2, 3)
    # Rounds are drawn together, and in every one of them b takes half the time of a.
    assert (b.low, b.high) == (0.5, 0.5)
    assert b.is_faster and not b.is_slower
    assert found["b"] is b


def test_every_model_goes_first_in_turn():
    _, clock = _measured({name: [1] * 9 for name in "abc"}, rounds=3, warmup=1)
    # Three rounds of trial (one to warm up), three timed.
    assert "".join(clock.calls) == "abcbcacab" + "abcbcacab"


def test_a_drift_of_the_machine_cancels():
    drift = 1.3 ** np.arange(12)
    found, _ = _measured({"a": 3 * drift, "b": drift}, rounds=10)
    b = found["b"]
    assert (b.ratio, b.low, b.high) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert not found.is_calm  # the seconds themselves did spread


def test_the_interval_contains_one_for_equal_models_as_often_as_it_says():
    random = np.random.default_rng(0)
    wrong = 0
    for _ in range(150):
        found, _ = _measured({name: np.exp(0.1 * random.normal(size=32)) for name in "ab"}, rounds=30)
        wrong += found["b"].is_faster or found["b"].is_slower
    # 5 % of 150 is 7.5; a percentile bootstrap of medians is honest to a few per cent.
    assert 1 <= wrong <= 18


def test_a_real_difference_is_found():
    random = np.random.default_rng(1)
    noise = {name: np.exp(0.05 * random.normal(size=32)) for name in "ab"}
    found, _ = _measured({"a": noise["a"], "b": 1.3 * noise["b"]}, rounds=30)
    assert found["b"].is_slower
    assert found["b"].low < 1.3 < found["b"].high


def test_the_same_numbers_give_the_same_interval():
    random = np.random.default_rng(2)
    durations = {name: random.uniform(1, 2, size=12) for name in "ab"}
    assert _measured(durations, rounds=10)[0] == _measured(durations, rounds=10)[0]


def test_a_restless_machine_is_measured_again_and_the_calmest_attempt_counts():
    trial, wild, calm, fair = [1, 1], [1, 3, 1, 3], [2, 2, 2, 2], [1, 1, 2, 2]
    found, _ = _measured({"a": trial + wild + calm + wild}, attempts=3)
    assert (found.attempts, found.is_calm, found["a"].median) == (2, True, 2)
    found, _ = _measured({"a": trial + wild + fair + wild}, attempts=3)
    assert (found.attempts, found.is_calm, found["a"].seconds) == (3, False, (1, 1, 2, 2))
    found, _ = _measured({"a": trial + fair}, attempts=3, spread=0.7)
    assert (found.attempts, found.is_calm) == (1, True)


def test_fast_models_are_called_several_times_for_a_timing():
    # 0.25 s a call and half a second wanted: two calls a timing; the slow one is called once.
    found, clock = _measured({"fast": [0.25] * 10, "slow": [0.75] * 6}, at_least=0.5)
    assert (clock.calls.count("fast"), clock.calls.count("slow")) == (2 + 8, 2 + 4)
    assert (found["fast"].median, found["slow"].median) == (0.25, 0.75)


class Watcher(nn.Module):
    """Notes how it is called."""

    def __init__(self):
        super().__init__()
        self.line, self.drop = nn.Linear(3, 3), nn.Dropout()
        self.seen = []

    def forward(self, x, scale=1.0, *, shift=None):
        self.seen.append((torch.get_num_threads(), torch.is_grad_enabled(), self.drop.training))
        return self.line(x) * scale if shift is None else self.line(x) * scale + shift


@pytest.mark.parametrize(
    "inputs",
    [torch.ones(2, 3), (torch.ones(2, 3), 2.0), [torch.ones(2, 3)], {"x": torch.ones(2, 3), "shift": torch.ones(3)}],
)
def test_models_run_as_they_do_in_use_and_are_left_as_they_were(inputs):
    model, before = Watcher(), torch.get_num_threads()
    model.line.eval()
    found = latency({"one": model}, inputs, threads=before + 1, rounds=2, warmup=1, at_least=1e-9, attempts=1)
    assert set(model.seen) == {(before + 1, False, False)} and len(model.seen) == 5
    assert found.threads == before + 1
    assert torch.get_num_threads() == before
    assert (model.training, model.drop.training, model.line.training) == (True, True, False)


def test_a_model_that_fails_leaves_everything_as_it_was():
    model, before = Watcher(), torch.get_num_threads()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        latency({"one": model}, torch.ones(2, 4), threads=before + 1)
    assert torch.get_num_threads() == before
    assert model.training and model.drop.training


def test_the_real_clock_sees_a_tenfold_difference():
    small, large = nn.Linear(256, 128), nn.Linear(256, 2560)
    found = latency({"large": large, "small": small}, torch.ones(128, 256), threads=1, rounds=7, at_least=0.001)
    assert found["small"].is_faster
    assert found["small"].ratio < 0.5
    assert found["large"].median > 0


def test_errors_say_what_to_do():
    with pytest.raises(TrainError, match="one model, thread and attempt or more, not 0, 1 and 3"):
        latency({}, torch.ones(1), threads=1)
    with pytest.raises(TrainError, match="one model, thread and attempt or more, not 1, 0 and 3"):
        latency({"a": nn.Identity()}, torch.ones(1), threads=0)
    with pytest.raises(TrainError, match="two rounds or more and no negative warmup, not 1 and 5"):
        latency({"a": nn.Identity()}, torch.ones(1), rounds=1)
    with pytest.raises(TrainError, match="'a' took no time at all by this clock; raise at_least, or give larger"):
        latency({"a": nn.Identity()}, torch.ones(1), clock=lambda: 1.0, rounds=2, at_least=1e-9)
