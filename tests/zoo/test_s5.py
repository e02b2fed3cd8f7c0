"""S5 computes what its equations say; its states start from HiPPO."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch

from niwaki import zoo
from niwaki.zoo.s5 import S5Layer, hippo_modes


def _hippo(size: int) -> np.ndarray:
    # HiPPO-LegS, entry by entry: -sqrt((2n + 1)(2k + 1)) below the diagonal, -(n + 1) on it.
    found = np.zeros((size, size))
    for n in range(size):
        for k in range(n + 1):
            found[n, k] = -(n + 1) if n == k else -math.sqrt((2 * n + 1) * (2 * k + 1))
    return found


@pytest.mark.parametrize("size", [2, 7, 16])
def test_the_modes_are_those_of_the_normal_part_of_hippo(size):
    poles, vectors = hippo_modes(size)
    p = np.sqrt(np.arange(size) + 0.5)
    normal = _hippo(size) + np.outer(p, p)
    v = vectors.numpy()
    np.testing.assert_allclose(v @ np.diag(poles.numpy()) @ v.conj().T, normal, atol=1e-9)
    np.testing.assert_allclose(v @ v.conj().T, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(poles.real, -0.5)


def _by_hand(layer, u):
    """The layer by matrix exponentials and a loop over time, one state after the other."""
    value = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
    b, c = value["B"][..., 0] + 1j * value["B"][..., 1], value["C"][..., 0] + 1j * value["C"][..., 1]
    time, width = u.shape
    out = value["D"] * u
    for p in range(layer.states):
        step, rate = math.exp(value["log_step"][p]), value["lambda_re"][p] + 1j * value["lambda_im"][p]
        if layer.discretisation == "zoh":  # exp of [[A, B], [0, 0]] holds both discrete matrices (Van Loan)
            block = scipy.linalg.expm(np.array([[rate, 1], [0, 0]]) * step)
            pole, factor = block[0, 0], block[0, 1]
        else:
            pole, factor = (1 + step * rate / 2) / (1 - step * rate / 2), step / (1 - step * rate / 2)
        for direction in range(2 if layer.bidirectional else 1):
            state, inputs = 0, u[::-1] if direction else u
            found = np.zeros((time, width))
            for t in range(time):
                state = pole * state + factor * (b[p] @ inputs[t])
                found[t] = (2 if layer.conjugate else 1) * (c[:, p + direction * layer.states] * state).real
            out = out + (found[::-1] if direction else found)
    return out


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_the_layer_is_its_equations(bidirectional, conjugate, discretisation):
    layer = S5Layer(
        3, 8, blocks=2, conjugate=conjugate, bidirectional=bidirectional, discretisation=discretisation,
        generator=torch.Generator().manual_seed(0),
    ).double()  # fmt: skip
    u = np.random.default_rng(0).normal(size=(13, 3))
    for form in (layer, layer.real):
        np.testing.assert_allclose(form(torch.tensor(u)[None])[0].detach().numpy(), _by_hand(layer, u), atol=1e-10)


def test_one_member_of_each_pair_is_the_same_function_as_both():
    both = S5Layer(2, 8, conjugate=False, generator=torch.Generator().manual_seed(0)).double()
    one = S5Layer(2, 8, generator=torch.Generator().manual_seed(0)).double()
    # The full layer holds the stored members and their conjugates; it takes the real part, not twice the real part.
    with torch.no_grad():
        for name in ("lambda_re", "lambda_im", "log_step", "B"):
            half = getattr(one, name).detach()
            sign = torch.tensor([1.0, -1.0]) if name == "B" else -1.0 if name == "lambda_im" else 1.0
            getattr(both, name).copy_(torch.cat([(half * sign).flip(0), half]))
        both.C.copy_(torch.cat([(one.C * torch.tensor([1.0, -1.0])).flip(1), one.C], dim=1))
        both.D.copy_(one.D)
    u = torch.randn(2, 9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(one(u), both(u), rtol=1e-10, atol=1e-12)


def test_a_pole_at_zero_is_an_integrator():
    layer = S5Layer(1, 2, clip=False, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        layer.lambda_re.zero_(), layer.lambda_im.zero_(), layer.D.zero_()
        layer.B.copy_(torch.tensor([[[1.0, 0.0]]])), layer.C.copy_(torch.tensor([[[0.5, 0.0]]]))
    u = torch.tensor([[[1.0], [2.0], [3.0]]], dtype=torch.float64)
    expected = torch.exp(layer.log_step) * torch.tensor([[[1.0], [3.0], [6.0]]])
    torch.testing.assert_close(layer(u), expected.double())
    torch.testing.assert_close(layer.real(u), expected.double())


def test_clipped_poles_cannot_leave_the_left_half():
    layer = S5Layer(1, 4)
    with torch.no_grad():
        layer.lambda_re.fill_(1.0)
    assert bool((layer.discrete()[0].abs() < 1).all())
    u = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(layer.real(u), layer(u))
    layer.clip = False
    assert bool((layer.discrete()[0].abs() > 1).all())


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="12 states cannot be cut into 8 blocks of pairs"):
        S5Layer(2, 12, blocks=8)
    with pytest.raises(ValueError, match="discretisation='euler' is unknown; choose 'zoh' or 'bilinear'"):
        S5Layer(2, 4, discretisation="euler")
    with pytest.raises(ValueError, match=r"states=\(8, 8\) with layers=3: give one positive number, or one for each"):
        zoo.s5(states=(8, 8), layers=3)


def test_pictures_are_read_pixel_by_pixel_and_tokens_without_the_empty_places():
    net = zoo.s5(width=8, states=8, layers=2).eval()
    picture = torch.rand(2, 1, 4, 4)
    assert torch.equal(net(picture), net(picture.reshape(2, 16, 1)))
    reader = zoo.s5(width=8, states=8, layers=2, tokens=5).eval()
    short = torch.tensor([[3, 1, 4]])
    longer = torch.nn.functional.pad(short, (0, 6))
    torch.testing.assert_close(reader(longer), reader(short))  # causal: what comes after does not matter


@pytest.mark.parametrize("net", [zoo.s5, zoo.s4d])
def test_one_generator_one_network_and_a_step_reaches_every_parameter(net):
    first, again, other = (net(generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True))
    out = first(first.example() + torch.randn(2, 64, 1))
    assert out.shape == (2, 10)
    out.square().sum().backward()
    for name, parameter in first.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


@pytest.mark.parametrize("net", [zoo.s5, zoo.s4d])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_networks_learn_which_way_a_ramp_goes(net, norm):
    generator = torch.Generator().manual_seed(0)
    model = net(classes=2, width=8, states=8, layers=1, norm=norm, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    y = torch.randint(0, 2, (256,), generator=generator)
    ramp = torch.linspace(-1, 1, 20) * (2 * y[:, None] - 1)
    x = (ramp + torch.randn(256, 20, generator=generator))[..., None]
    for _ in range(40):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:200]), y[:200]).backward()
        optimizer.step()
    assert float((model.eval()(x[200:]).argmax(1) == y[200:]).float().mean()) > 0.85
