"""What a model takes outside its operators: on a clock that the test turns, and on this machine."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from niwaki.measure.calling import seconds_of_calling
from niwaki.measure.replay import Eager


class Clock:
    """Stands still unless something is said to take time; reading it may."""

    def __init__(self, reading: float) -> None:
        self.now, self.reading = 0.0, reading

    def __call__(self) -> float:
        self.now += self.reading
        return self.now

    def takes(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("reading", [0.0, 0.125, 3.0])
def test_it_is_what_the_whole_takes_beyond_its_operators(reading: float) -> None:
    clock, x = Clock(reading), torch.ones(3)
    plain = torch.relu

    def relu(x: torch.Tensor) -> torch.Tensor:
        clock.takes(2.0)
        return plain(x)

    def whole() -> None:
        for _ in range(4):
            clock.takes(0.25)
            torch.overrides.handle_torch_function(relu, (x,), x)

    # Four operators of two seconds, and a quarter of a second of Python before each.
    assert seconds_of_calling(whole, clock) == pytest.approx(1.0)


def test_a_model_of_many_small_operators_spends_more_outside_them() -> None:
    few = nn.Sequential(*(nn.ReLU() for _ in range(4)))
    many = nn.Sequential(*(nn.ReLU() for _ in range(200)))
    x, eager = torch.ones(2), Eager()
    a, b = (eager.calling(model, x, time.thread_time) for model in (few, many))
    assert 0 <= a < b < 200 * 1e-3


def test_the_models_answers_and_random_numbers_stay() -> None:
    model, x = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval(), torch.randn(8, 4)
    before, state = model(x), torch.get_rng_state()
    Eager().calling(model, x, time.thread_time)
    assert torch.equal(model(x), before)
    assert torch.equal(torch.get_rng_state(), state)
