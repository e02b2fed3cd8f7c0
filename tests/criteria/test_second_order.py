"""Second-order criteria against problems with known curvature."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import Group, Signals, Slice
from niwaki.criteria import BrainDamage, Fisher, Grasp
from niwaki.signals import collect, score
from niwaki.structure.declare import weights
from tests.criteria.problems import Quadratic, labelled, mean_output, random_hessian, relu_net

ONE = [(torch.ones(1, dtype=torch.float64), None)]


def _theta_group(size):
    return Group("theta", size, (Slice("theta", (size,)),))


def test_brain_damage_is_the_rise_of_a_diagonal_quadratic_at_its_minimum():
    # L = sum h (theta - t)^2 / 2 at theta = t: removing weight k raises it by h_k t_k^2 / 2, exactly.
    curvature = torch.tensor([1.0, 4.0, 0.5, 2.0], dtype=torch.float64)
    best = torch.tensor([1.0, -0.5, 3.0, 0.1], dtype=torch.float64)
    model = Quadratic(torch.diag(curvature), curvature * best, best)
    generator = torch.Generator().manual_seed(0)
    found = score(BrainDamage("hessian_diag"), model, [_theta_group(4)], ONE, mean_output, generator=generator)["theta"]
    with torch.no_grad():
        lowest = model(ONE[0][0])
        for unit in range(4):
            model.theta.copy_(best)
            model.theta[unit] = 0
            assert found[unit].item() == pytest.approx(float(model(ONE[0][0]) - lowest))
    assert found.tolist() == pytest.approx([0.5, 0.5, 2.25, 0.01])


def test_negative_curvature_counts_as_zero():
    signals = Signals(
        {
            "weight": {"theta": torch.tensor([1.0, 2.0])},
            "hessian_diag": {"theta": torch.tensor([-3.0, 3.0])},
        }
    )
    assert BrainDamage("hessian_diag")(_theta_group(2), signals).tolist() == [0.0, 6.0]


def test_fisher_against_loops_over_samples():
    # Linear regression: the gradient of one sample's squared error is 2 r_n x_n.
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=(17, 5)), random.normal(size=(17, 1)), random.normal(size=5)
    model = nn.Linear(5, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(w)[None])
    batches = [(torch.tensor(x[:4]), torch.tensor(y[:4])), (torch.tensor(x[4:]), torch.tensor(y[4:]))]
    found = score(Fisher(), model, weights(model), batches, nn.functional.mse_loss)["weight"]
    expected = np.zeros(5)
    for n in range(17):
        residual = sum(w[k] * x[n, k] for k in range(5)) - y[n, 0]
        for k in range(5):
            expected[k] += (2 * residual * x[n, k]) ** 2 * w[k] ** 2 / 17
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    # The square of the mean gradient is another number.
    mean = np.mean(2 * (x @ w - y[:, 0])[:, None] * x, axis=0)
    assert not np.allclose(found.numpy(), mean**2 * w**2, rtol=0.1)


def test_brain_damage_with_the_empirical_fisher_is_half_of_fisher():
    model = relu_net(5, 7, 3)
    batches = [labelled(12, 5, 3)]
    groups = weights(model)
    half = score(BrainDamage(), model, groups, batches, nn.functional.cross_entropy)
    whole = score(Fisher(), model, groups, batches, nn.functional.cross_entropy)
    for group in groups:
        torch.testing.assert_close(2 * half[group.name], whole[group.name], rtol=1e-12, atol=0)
        assert float(whole[group.name].max()) > 0


def test_grasp_on_a_quadratic():
    # g = H theta - b, so H g and theta * (H g) are known.
    hessian = random_hessian(6)
    theta = torch.randn(6, dtype=torch.float64)
    linear = torch.randn(6, dtype=torch.float64)
    found = score(Grasp(), Quadratic(hessian, linear, theta), [_theta_group(6)], ONE, mean_output)["theta"]
    h, t = hessian.numpy(), theta.numpy()
    np.testing.assert_allclose(found.numpy(), t * (h @ (h @ t - linear.numpy())), rtol=1e-10)
    assert found.min() < 0 < found.max()


def test_grasp_adds_up_to_the_change_of_the_squared_gradient_along_the_weights():
    # Sum theta (H g) = g^T H theta = d/de |g(theta (1 + e))|^2 / 2 at e = 0, by central difference.
    model, loss = relu_net(5, 8, 3), nn.functional.cross_entropy
    model[1] = nn.Tanh()  # smooth, so that the difference has a limit
    batches = [labelled(9, 5, 3), labelled(4, 5, 3, seed=2)]
    found = score(Grasp(), model, weights(model), batches, loss)
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))

    def half_squared_gradient(scale):
        values = {name: (p.detach() * scale).requires_grad_() for name, p in model.named_parameters()}
        value = loss(torch.func.functional_call(model, values, (x,)), y)
        return sum(float((g**2).sum()) for g in torch.autograd.grad(value, list(values.values()))) / 2

    step = 1e-5
    expected = (half_squared_gradient(1 + step) - half_squared_gradient(1 - step)) / (2 * step)
    assert sum(float(value.sum()) for value in found.values()) == pytest.approx(expected, rel=1e-7)


def test_grasp_keeps_its_sign_and_the_variant_does_not():
    model, batches = relu_net(5, 8, 3), [labelled(9, 5, 3)]
    groups = weights(model)
    signed = score(Grasp(), model, groups, batches, nn.functional.cross_entropy)
    absolute = score(Grasp(absolute=True), model, groups, batches, nn.functional.cross_entropy)
    for group in groups:
        assert float(signed[group.name].min()) < 0
        assert torch.equal(signed[group.name].abs(), absolute[group.name])


def test_removing_a_high_grasp_score_lowers_the_gradient_norm():
    # The sign convention, on a quadratic: |g|^2 falls most, to first order, where theta (H g) is highest.
    hessian, theta = random_hessian(5), torch.randn(5, dtype=torch.float64)
    linear = torch.zeros(5, dtype=torch.float64)
    found = score(Grasp(), Quadratic(hessian, linear, theta), [_theta_group(5)], ONE, mean_output)["theta"]
    drop = []
    for unit in range(5):
        less = theta.clone()
        less[unit] *= 1 - 1e-6
        drop.append(float((hessian @ theta).square().sum() - (hessian @ less).square().sum()) / 2e-6)
    np.testing.assert_allclose(found.numpy(), drop, rtol=1e-4, atol=1e-5)


def test_the_diagonal_estimate_is_exact_for_a_diagonal_hessian():
    model = Quadratic(
        torch.diag(torch.tensor([3.0, -1.0, 0.5])).double(), torch.zeros(3).double(), torch.ones(3).double()
    )
    signals = collect(model, ONE, mean_output, needs={"hessian_diag"}, generator=torch.Generator().manual_seed(3))
    assert signals.of("hessian_diag", "theta").tolist() == pytest.approx([3.0, -1.0, 0.5])


def test_the_diagonal_estimate_converges_with_the_root_of_the_draws():
    hessian = random_hessian(8)
    model = Quadratic(hessian, torch.zeros(8).double(), torch.randn(8).double())

    def error(draws):
        found = [
            collect(
                model, ONE, mean_output,
                needs={"hessian_diag"}, draws=draws, generator=torch.Generator().manual_seed(seed),
            ).of("hessian_diag", "theta")
            for seed in range(20)
        ]  # fmt: skip
        return float((torch.stack(found) - hessian.diagonal()).square().mean().sqrt())

    few, many = error(4), error(64)
    # Sixteen times the draws: a quarter of the error, within what twenty repetitions can tell.
    assert 2.8 < few / many < 5.7
    off = hessian - torch.diag(hessian.diagonal())
    assert many == pytest.approx(float(off.square().sum(1).mean() / 64) ** 0.5, rel=0.2)
