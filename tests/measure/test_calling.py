"""What calling an operator takes: on a machine of known speed, and on this one."""

from __future__ import annotations

import time

import pytest
import torch

from niwaki.measure.calling import seconds_per_call
from niwaki.measure.replay import Eager

from .machine import Machine

CPU = torch.device("cpu")


def test_it_is_what_the_whole_takes_beyond_its_operators() -> None:
    machine = Machine(seconds=3.0)
    # Four convolutions of 8 to 8 channels, 3x3, on 2x2 pictures; norms and activations take no time on this machine.
    alone = 4 * (2 * 2 * 8 * 8 * 9) * 1e-9
    assert seconds_per_call(machine, CPU, machine.clock) == pytest.approx((3.0 - alone) / 12)


def test_a_whole_that_is_faster_than_its_operators_costs_no_calls() -> None:
    machine = Machine(lambda kind, shapes, args: 1.0, seconds=3.0)
    assert seconds_per_call(machine, CPU, machine.clock) == 0


def test_on_a_real_machine_it_is_some_microseconds() -> None:
    state = torch.get_rng_state()
    assert 0 <= seconds_per_call(Eager(), CPU, time.thread_time) < 1e-3
    assert torch.equal(torch.get_rng_state(), state)
