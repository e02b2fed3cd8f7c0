"""The scan is the recurrence, the convolution is the sum, the exponential sums are exponentials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from niwaki.zoo.scan import convolve, exponential_sums, scan


def _recurrence(decay: np.ndarray, drive: np.ndarray) -> np.ndarray:
    state, found = np.zeros(drive.shape[1], dtype=complex), []
    for t in range(len(drive)):
        state = (decay if decay.ndim == 1 else decay[t]) * state + drive[t]
        found.append(state)
    return np.array(found).reshape(drive.shape)


def _random(random, *shape):
    return random.uniform(-1, 1, shape) + 1j * random.uniform(-1, 1, shape)


@given(time=some.integers(0, 40), states=some.integers(1, 3), seed=some.integers(0, 99), fixed=some.booleans())
@settings(max_examples=60, deadline=None)
def test_the_scan_is_the_recurrence(time, states, seed, fixed):
    random = np.random.default_rng(seed)
    decay = _random(random, states) if fixed else _random(random, time, states)
    drive = _random(random, time, states)
    found = scan(torch.tensor(decay), torch.tensor(drive)).numpy()
    np.testing.assert_allclose(found, _recurrence(decay, drive), rtol=1e-10, atol=1e-12)


def test_a_scan_has_the_gradient_of_the_recurrence():
    random = np.random.default_rng(0)
    decay, drive = (torch.tensor(_random(random, *shape)).requires_grad_() for shape in ((2,), (7, 2)))
    assert torch.autograd.gradcheck(scan, (decay, drive))


def test_leading_axes_are_sequences_of_their_own():
    random = np.random.default_rng(1)
    decay, drive = _random(random, 2), _random(random, 3, 4, 9, 2)
    found = scan(torch.tensor(decay), torch.tensor(drive)).numpy()
    np.testing.assert_allclose(found[2, 1], _recurrence(decay, drive[2, 1]), rtol=1e-10)


def test_the_work_of_a_scan_is_linear_and_its_depth_logarithmic():
    # Each halving multiplies and adds once over half of what is left, and once more on the way back.
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.elements, self.calls = 0, 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if "mul" in str(function):
                self.elements, self.calls = self.elements + out.numel(), self.calls + 1
            return out

    with Count() as count:
        scan(torch.rand(1), torch.rand(1024, 1))
    assert count.elements < 2 * 1024 + 20
    assert count.calls == 3 * 10  # decay^2, into the odd places, into the even places; 10 halvings


@pytest.mark.parametrize("time", [1, 2, 5, 32])
def test_the_convolution_is_the_sum(time):
    random = np.random.default_rng(time)
    kernel, signal = random.normal(size=(3, time)), random.normal(size=(2, 3, time))
    expected = [[np.convolve(kernel[h], signal[n, h])[:time] for h in range(3)] for n in range(2)]
    np.testing.assert_allclose(convolve(torch.tensor(kernel), torch.tensor(signal)).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("time", [1, 2, 3, 10, 101])
def test_exponential_sums_are_exponentials(time):
    random = np.random.default_rng(time)
    weights, rates = _random(random, 2, 3), _random(random, 2, 3) - 0.5
    expected = (weights[..., None] * np.exp(rates[..., None] * np.arange(time))).sum(-2)
    found = exponential_sums(torch.tensor(weights), torch.tensor(rates), time)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
