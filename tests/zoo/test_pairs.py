"""Pairs are complex numbers; the convolution by blocks is the sum over the past."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from niwaki.zoo.pairs import convolve_exponentials, exponential, exponential_less_one, one_like, over, times
from niwaki.zoo.scan import scan


def _random(random, *shape):
    return random.uniform(-1, 1, shape) + 1j * random.uniform(-1, 1, shape)


def _pairs(values):
    return torch.tensor(np.stack([values.real, values.imag]))


def _complex(pairs):
    return pairs[0].numpy() + 1j * pairs[1].numpy()


@given(seed=some.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_pairs_are_complex_numbers(seed):
    random = np.random.default_rng(seed)
    one, other = _random(random, 3, 4), _random(random, 4)
    np.testing.assert_allclose(_complex(times(_pairs(one), _pairs(other))), one * other, rtol=1e-12)
    np.testing.assert_allclose(_complex(over(_pairs(one), _pairs(other))), one / other, rtol=1e-9)
    np.testing.assert_allclose(_complex(exponential(_pairs(3 * one))), np.exp(3 * one), rtol=1e-12)
    for size in (1, 1e-3, 1e-9):
        found = _complex(exponential_less_one(_pairs(size * one)))
        np.testing.assert_allclose(found, np.expm1(size * one), rtol=1e-12)
    np.testing.assert_array_equal(_complex(one_like(_pairs(one))), np.ones((3, 4)))


@given(time=some.integers(0, 40), seed=some.integers(0, 99), fixed=some.booleans())
@settings(max_examples=40, deadline=None)
def test_a_scan_of_pairs_is_the_recurrence(time, seed, fixed):
    random = np.random.default_rng(seed)
    decay, drive = _random(random, 1 if fixed else time, 2), _random(random, 3, time, 2)
    state, expected = 0, np.zeros_like(drive)
    for t in range(time):
        state = decay[0 if fixed else t] * state + drive[:, t]
        expected[:, t] = state
    np.testing.assert_allclose(_complex(scan(_pairs(decay), _pairs(drive), times)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("time", [1, 2, 3, 5, 16, 17, 60])
def test_the_convolution_by_blocks_is_the_sum(time):
    random = np.random.default_rng(time)
    weights, rates = _random(random, 3, 2), _random(random, 3, 2) - 0.5
    signal = random.normal(size=(4, 3, time))
    kernel = (weights[..., None] * np.exp(rates[..., None] * np.arange(time))).sum(1).real
    expected = [[np.convolve(kernel[h], signal[n, h])[:time] for h in range(3)] for n in range(4)]
    found = convolve_exponentials(_pairs(weights), _pairs(rates), torch.tensor(signal)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_the_convolution_by_blocks_makes_no_matrix_of_all_times():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            self.elements = max(self.elements, out.numel() if isinstance(out, torch.Tensor) else 0)
            return out

    with Largest() as largest:
        convolve_exponentials(torch.rand(2, 1, 4), -torch.rand(2, 1, 4), torch.rand(1, 1, 4096))
    # 65 powers of 4 pairs, 64 x 4 pairs of states, a matrix of 64 x 64; the signal itself for both parts of a pair.
    assert largest.elements <= 2 * 4096
