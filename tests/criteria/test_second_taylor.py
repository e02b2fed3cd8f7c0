"""Second-order Taylor, on problems with known curvature."""

import numpy as np
import pytest
import torch

from niwaki.core import Group, Slice
from niwaki.criteria import (
    SecondTaylor,
)
from niwaki.signals import score
from tests.criteria.channels import each
from tests.criteria.problems import Quadratic, mean_output, random_hessian


def _value(hessian, linear, theta):
    h, b, t = hessian.numpy(), linear.numpy(), theta.numpy()
    return float(t @ h @ t / 2 - b @ t)


def test_second_order_taylor_is_the_change_of_a_quadratic():
    # L(theta) = theta^T H theta / 2 - b^T theta, units of two weights: removing one changes L by exactly the score.
    hessian, theta = random_hessian(6), torch.randn(6, dtype=torch.float64)
    linear = torch.randn(6, dtype=torch.float64)
    model, batches = Quadratic(hessian, linear, theta), [(torch.ones(1, dtype=torch.float64), None)]
    for unit in range(3):
        # One unit to a group: its curvature is exact.
        where = Slice("theta", (6,), dim=0, index=each(3, 2)[unit : unit + 1])
        group = Group("u", 1, (where,), kind="channel")
        generator = torch.Generator().manual_seed(0)
        found = score(SecondTaylor("gate_hessian_diag"), model, [group], batches, mean_output, generator=generator)["u"]
        square = score(
            SecondTaylor("gate_hessian_diag", "square"), model, [group], batches, mean_output, generator=generator
        )["u"]  # fmt: skip
        less = theta.clone()
        less[2 * unit : 2 * unit + 2] = 0
        change = _value(hessian, linear, less) - _value(hessian, linear, theta)
        assert found.item() == pytest.approx(abs(change), rel=1e-9)
        assert square.item() == pytest.approx(change**2, rel=1e-9)


def test_more_draws_bring_the_curvature_nearer():
    hessian, theta = random_hessian(8), torch.randn(8, dtype=torch.float64)
    model, batches = Quadratic(hessian, torch.zeros(8).double(), theta), [(torch.ones(1, dtype=torch.float64), None)]
    group = Group("t", 4, (Slice("theta", (8,), dim=0, index=each(4, 2)),), kind="channel")
    exact = []
    for unit in range(4):
        less = theta.clone()
        less[2 * unit : 2 * unit + 2] = 0
        nothing = torch.zeros(8).double()
        exact.append(abs(_value(hessian, nothing, less) - _value(hessian, nothing, theta)))

    def error(draws):
        found = [
            score(
                SecondTaylor("gate_hessian_diag"), model, [group], batches, mean_output,
                generator=torch.Generator().manual_seed(seed), draws=draws,
            )["t"].numpy()
            for seed in range(10)
        ]  # fmt: skip
        return np.sqrt(np.mean((np.array(found) - exact) ** 2))

    assert 2 < error(2) / error(32) < 8  # four, within what ten repetitions can tell
