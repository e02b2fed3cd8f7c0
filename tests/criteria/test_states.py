"""Scores of states against frequency sweeps and impulse responses, and the laws of the tail share."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize_scalar
from torch import nn

from niwaki.core import DiagonalSystem, Dynamics, Group, SignalError, Signals, Slice
from niwaki.criteria import H2, HInfinity, Lamp, Magnitude, Movement, TailShare
from niwaki.signals import score
from niwaki.structure import states
from niwaki.zoo import S4DLayer, S5Layer


def _seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def _modes(layer: nn.Module) -> list[tuple[complex, np.ndarray, list[np.ndarray], float]]:
    """Discrete pole, row of B, columns of C and damping of every mode, by NumPy from the published formulas."""
    value = {name: p.detach().double().numpy() for name, p in layer.named_parameters()}
    c = value["C"][..., 0] + 1j * value["C"][..., 1]
    found = []
    if isinstance(layer, S4DLayer):
        for h in range(layer.width):
            for n in range(layer.states):
                rate = -math.exp(value["log_a_real"][h, n]) + 1j * value["a_imag"][h, n]
                pole = np.exp(rate * math.exp(value["log_step"][h]))
                found.append((pole, np.array([(pole - 1) / rate]), [np.array([c[h, n]])], rate))
        return found
    assert isinstance(layer, S5Layer)
    b = value["B"][..., 0] + 1j * value["B"][..., 1]
    for p in range(layer.states):
        rate, step = value["lambda_re"][p] + 1j * value["lambda_im"][p], math.exp(value["log_step"][p])
        if layer.discretisation == "zoh":
            pole = np.exp(rate * step)
            row = (pole - 1) / rate * b[p]
        else:
            pole, row = (1 + rate * step / 2) / (1 - rate * step / 2), step / (1 - rate * step / 2) * b[p]
        columns = [c[:, p + d * layer.states] for d in range(2 if layer.bidirectional else 1)]
        found.append((pole, row, columns, rate))
    return found


def _largest_gain(pole, row, column):
    """The largest singular value of the transfer function over all frequencies, by search."""

    def gain(omega: float) -> float:
        return float(np.linalg.svd(np.outer(column, row) / (np.exp(1j * omega) - pole), compute_uv=False)[0])

    grid = np.linspace(-np.pi, np.pi, 2001)
    best = grid[np.argmax(1 / np.abs(np.exp(1j * grid) - pole))]
    found = minimize_scalar(
        lambda w: -gain(w), bounds=(best - 0.01, best + 0.01), method="bounded", options={"xatol": 1e-9}
    )
    return -found.fun


SYSTEMS = {
    "zoh": lambda: S5Layer(3, 8, steps=(0.05, 0.5), generator=_seeded()),
    "bilinear": lambda: S5Layer(3, 8, discretisation="bilinear", steps=(0.05, 0.5), generator=_seeded(1)),
    "s4d": lambda: S4DLayer(2, 8, steps=(0.05, 0.5), generator=_seeded(2)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_h_infinity_is_the_squared_peak_of_a_frequency_sweep(name):
    layer = SYSTEMS[name]()
    groups = states(layer, per_channel=True)
    (found,) = score(HInfinity(eps=0), layer, groups).values()
    swept = [_largest_gain(pole, row, columns[0]) ** 2 for pole, row, columns, _ in _modes(layer)]
    np.testing.assert_allclose(found.numpy(), swept, rtol=1e-5)


@pytest.mark.parametrize("name", SYSTEMS)
def test_h2_is_the_energy_of_the_impulse_response(name):
    layer = SYSTEMS[name]()
    (found,) = score(H2(), layer, states(layer, per_channel=True)).values()
    time = np.arange(20_000)
    energies = [
        (np.abs(np.outer(columns[0], row).ravel()[:, None] * pole**time) ** 2).sum()
        for pole, row, columns, _ in _modes(layer)
    ]
    np.testing.assert_allclose(found.numpy(), energies, rtol=1e-5)


def test_both_directions_count_by_the_mean_of_their_norms():
    layer = S5Layer(3, 8, bidirectional=True, steps=(0.05, 0.5), generator=_seeded())
    groups = states(layer)
    (found,) = score(HInfinity(eps=0), layer, groups).values()
    (literal,) = score(HInfinity(reference=True), layer, groups).values()
    for i, (pole, row, columns, _) in enumerate(_modes(layer)):
        one, other = (np.linalg.norm(column) for column in columns)
        driven = np.linalg.norm(row) ** 2
        assert float(found[i]) == pytest.approx(((one + other) / 2) ** 2 * driven / (1 - abs(pole)) ** 2, rel=1e-9)
        # The square of the authors' code binds to the 2: (one + other) / 2 ** 2.
        expected = (one + other) / 2**2 * driven / ((1 - abs(pole)) ** 2 + 1e-8)
        assert float(literal[i]) == pytest.approx(expected, rel=1e-9)


def test_the_continuous_score_is_the_limit_of_small_steps():
    layer = S5Layer(2, 8, steps=(1e-7, 1e-6), generator=_seeded())
    groups = states(layer)
    (discrete,) = score(HInfinity(eps=0), layer, groups).values()
    (continuous,) = score(HInfinity(eps=0, continuous=True), layer, groups).values()
    torch.testing.assert_close(discrete, continuous, rtol=1e-4, atol=0)
    for i, (_, _, columns, rate) in enumerate(_modes(layer)):
        b = np.linalg.norm(layer.B[i].detach())
        assert float(continuous[i]) == pytest.approx((np.linalg.norm(columns[0]) * b / abs(rate.real)) ** 2, rel=1e-6)


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_slow_modes_keep_their_digits(discretisation):
    # 1 - |pole| = a dt + ... with a dt = 1e-10: the difference of two doubles would have six digits left.
    layer = S5Layer(1, 2, discretisation=discretisation, clip=False, generator=_seeded()).double()
    with torch.no_grad():
        layer.lambda_re.fill_(-1e-7), layer.lambda_im.zero_(), layer.log_step.fill_(math.log(1e-3))
        layer.B.copy_(torch.tensor([[[1.0, 0.0]]])), layer.C.copy_(torch.tensor([[[1.0, 0.0]]]))
    (found,) = score(HInfinity(eps=0), layer, states(layer)).values()
    assert float(found) == pytest.approx(1e14, rel=1e-8)  # (1e-3 / 1e-10)^2
    (capped,) = score(HInfinity(), layer, states(layer)).values()
    assert float(capped) == pytest.approx(1e-6 / 1e-8, rel=1e-6)


@pytest.mark.parametrize("real", [0.0, 0.1])
@pytest.mark.parametrize("criterion", [HInfinity(), H2(), TailShare(HInfinity())])
def test_an_unstable_mode_is_never_scored(real, criterion):
    layer = S5Layer(2, 8, clip=False, generator=_seeded())
    with torch.no_grad():
        layer.lambda_re[2] = real
    with pytest.raises(
        SignalError, match=r"1 of 4 modes of group 'states' are not stable \(the largest discrete pole has"
    ):
        score(criterion, layer, states(layer))
    layer.clip = True  # what the layer runs with is what is scored
    assert all(bool(torch.isfinite(s).all()) for s in score(criterion, layer, states(layer)).values())


def test_other_groups_have_no_poles():
    model = nn.Linear(3, 2)
    group = Group("rows", 2, (Slice("weight", (2, 3), dim=0, index=torch.arange(2)[:, None]),), kind="channel")
    with pytest.raises(
        SignalError, match=r"group 'rows' of channels has no linear systems; scores from poles and gains"
    ):
        score(HInfinity(), model, [group])
    with pytest.raises(SignalError, match=r"group 'rows' of states has no fixed poles: its layer is selective"):
        HInfinity()(Group("rows", 2, group.slices, kind="state"), Signals())


def test_discrete_systems_by_nature_have_no_continuous_score():
    one = torch.ones(1, 1, dtype=torch.float64)
    system = DiagonalSystem(0.5 * one, one, one[None], one[None, None], "discrete")
    group = Group("lru", 1, (Slice("C", (1, 1)),), kind="state", dynamics=Dynamics((), lambda of: system))
    with pytest.raises(SignalError, match="group 'lru' is discrete by nature; score it with continuous=False"):
        HInfinity(continuous=True)(group, Signals())


def _shares(values):
    group = Group("w", len(values), (Slice("w", (len(values),)),))
    signals = Signals({"weight": {"w": torch.tensor(values, dtype=torch.float64)}})
    return TailShare(Magnitude())(group, signals).tolist()


def test_a_worked_layer():
    assert _shares([8.0, 4.0, 2.0, 1.0, 1.0]) == pytest.approx([1, 1 / 3, 1 / 7, 1 / 15, 1 / 16], rel=1e-15)
    assert _shares([1.0, 8.0, 1.0, 2.0, 4.0]) == pytest.approx([1 / 15, 1, 1 / 16, 1 / 7, 1 / 3], rel=1e-15)
    assert _shares([3.0, 3.0, 3.0]) == pytest.approx([1, 1 / 2, 1 / 3], rel=1e-15)
    assert _shares([0.0, 0.0]) == [0.0, 0.0]


POSITIVE = some.lists(some.floats(1e-6, 1e6), min_size=1, max_size=12)


@given(values=POSITIVE)
@settings(max_examples=80, deadline=None)
def test_the_tail_that_goes_leaves_the_product_of_what_is_not_its_share(values):
    shares = _shares(values)
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert max(shares) == pytest.approx(1.0) and shares[order[0]] == pytest.approx(1.0)
    assert [shares[i] for i in order] == sorted(shares, reverse=True)  # the order within a layer stays
    for kept in range(1, len(values)):
        left = math.prod(1 - shares[i] for i in order[kept:])
        assert left == pytest.approx(sum(values[i] for i in order[:kept]) / sum(values), rel=1e-6, abs=1e-12)


@given(values=POSITIVE, power=some.integers(-20, 20))
@settings(max_examples=40, deadline=None)
def test_a_factor_on_a_whole_layer_changes_nothing(values, power):
    assert _shares([v * 2.0**power for v in values]) == _shares(values)


def test_lamp_is_the_tail_share_of_squares():
    values = torch.rand(9, generator=_seeded(), dtype=torch.float64)
    group = Group("w", 9, (Slice("w", (9,)),))
    squared = TailShare(Magnitude())(group, Signals({"weight": {"w": values.square()}}))
    torch.testing.assert_close(squared, Lamp()(group, Signals({"weight": {"w": values}})))


def test_a_criterion_with_a_sign_is_refused():
    group = Group("w", 2, (Slice("w", (2,)),))
    signals = Signals({kind: {"w": torch.tensor([1.0, -1.0])} for kind in ("weight", "grad")})
    with pytest.raises(SignalError, match="TailShare needs scores that add up, and Movement gave group 'w' negative"):
        TailShare(Movement())(group, signals)
