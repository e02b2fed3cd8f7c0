"""S4D computes what its equations say."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from niwaki.zoo import S4DLayer
from niwaki.zoo.scan import scan


def _layer(**switches):
    return S4DLayer(3, 8, generator=torch.Generator().manual_seed(0), **switches).double()


def _recurrence(layer, u):
    """Every state of every channel by a loop over time; held inputs integrated in closed form."""
    value = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    out = value["D"] * u
    for h in range(layer.width):
        step = math.exp(value["log_step"][h])
        for n in range(layer.states):
            rate = -math.exp(value["log_a_real"][h, n]) + 1j * value["a_imag"][h, n]
            pole, state = np.exp(rate * step), 0
            for t in range(len(u)):
                state = pole * state + (pole - 1) / rate * u[t, h]
                out[t, h] += 2 * ((value["C"][h, n, 0] + 1j * value["C"][h, n, 1]) * state).real
    return out


@pytest.mark.parametrize("init", ["lin", "inv"])
def test_both_forms_are_the_recurrence(init):
    layer, u = _layer(init=init), np.random.default_rng(0).normal(size=(17, 3))
    expected = _recurrence(layer, u.copy())
    for form in (layer, layer.real):
        np.testing.assert_allclose(form(torch.tensor(u)[None])[0].detach().numpy(), expected, atol=1e-9)


def test_the_kernel_is_the_scan_of_an_impulse():
    layer = _layer()
    rate = torch.complex(-torch.exp(layer.log_a_real), layer.a_imag)
    turn = rate * torch.exp(layer.log_step)[:, None]
    impulse = torch.zeros(20, 12, dtype=torch.complex128)
    impulse[0] = ((torch.exp(turn) - 1) / rate).flatten()
    states = scan(torch.exp(turn).flatten(), impulse)
    weights = torch.view_as_complex(layer.C).flatten()
    expected = 2 * (states * weights).real.unflatten(1, (3, 4)).sum(2).T
    torch.testing.assert_close(layer.kernel(20), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("form", ["forward", "real"])
def test_short_steps_keep_their_digits(form):
    # At a step of 1e-5 exp(A dt) - 1 has three digits in float32, if it is worked out as written.
    short = S4DLayer(3, 8, steps=(1e-5, 1e-4), generator=torch.Generator().manual_seed(0))
    u = torch.randn(1, 50, 3, generator=torch.Generator().manual_seed(1))
    exact = copy.deepcopy(short).double()
    with torch.no_grad():
        exact.D.zero_(), short.D.zero_()
        found, expected = getattr(short, form)(u), exact(u.double())
    torch.testing.assert_close(found, expected.float(), rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_starts_are_as_published():
    lin, inv = (_layer(init=init) for init in ("lin", "inv"))
    np.testing.assert_allclose(lin.a_imag[1].detach(), [0, math.pi, 2 * math.pi, 3 * math.pi], rtol=1e-6)
    # N = 8: (8 / pi) (8 / (2 n + 1) - 1) for n = 0, 1, 2, 3
    np.testing.assert_allclose(inv.a_imag[2].detach(), [8 / math.pi * (8 / m - 1) for m in (1, 3, 5, 7)], rtol=1e-6)
    np.testing.assert_allclose(torch.exp(lin.log_a_real.detach()), 0.5, rtol=1e-6)


def test_an_odd_number_of_states_or_another_start_is_refused():
    with pytest.raises(ValueError, match="even number of states and init 'lin' or 'inv', not 7 and 'lin'"):
        S4DLayer(2, 7)
    with pytest.raises(ValueError, match="not 8 and 'legs'"):
        S4DLayer(2, 8, init="legs")
