"""Each kind of signal against numbers made another way."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.signals import collect
from niwaki.structure.declare import weights
from tests.criteria.problems import Quadratic, labelled, mean_output, random_hessian, relu_net

LOSS = nn.functional.cross_entropy


def _regression(samples=11, features=4, seed=0):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(samples, features)), random.normal(size=(samples, 1))
    model = nn.Linear(features, 1, bias=False, dtype=torch.float64)
    w = random.normal(size=features)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(w)[None])
    # Per-sample gradients of the squared error: 2 (w x - y) x.
    return model, torch.tensor(x), torch.tensor(y), 2 * (x @ w - y[:, 0])[:, None] * x


def _cut(x, y, *sizes):
    return list(zip(x.split(sizes), y.split(sizes), strict=True))


def test_grad_is_that_of_all_samples_however_they_are_cut_into_batches():
    model, x, y, each = _regression()
    for sizes in ((11,), (1, 10), (5, 4, 2)):
        found = collect(model, _cut(x, y, *sizes), nn.functional.mse_loss, needs={"grad"}).of("grad", "weight")
        np.testing.assert_allclose(found.numpy()[0], each.mean(0), rtol=1e-12)


def test_moments_over_batches():
    model, x, y, each = _regression()
    batches = _cut(x, y, 5, 4, 2)
    means = np.array([part.mean(0) for part in np.split(each, (5, 9))])
    signals = collect(model, batches, nn.functional.mse_loss, needs={"grad_batches_sq", "grad_batches_abs", "grad"})
    np.testing.assert_allclose(signals.of("grad_batches_sq", "weight").numpy()[0], (means**2).mean(0), rtol=1e-12)
    np.testing.assert_allclose(signals.of("grad_batches_abs", "weight").numpy()[0], np.abs(means).mean(0), rtol=1e-12)
    np.testing.assert_allclose(signals.of("grad", "weight").numpy()[0], each.mean(0), rtol=1e-12)


def test_grad_sq_is_the_mean_over_samples_of_squares():
    model, x, y, each = _regression()
    for sizes in ((11,), (5, 4, 2), (1,) * 11):
        found = collect(model, _cut(x, y, *sizes), nn.functional.mse_loss, needs={"grad_sq"}).of("grad_sq", "weight")
        np.testing.assert_allclose(found.numpy()[0], (each**2).mean(0), rtol=1e-12)


class Undecided(nn.Module):
    """Its path depends on the data, which no vectorisation follows."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) if x.sum().item() < 1e9 else x


def test_samples_are_taken_one_by_one_where_they_must_be():
    model = relu_net(5, 7, 3)
    batches = [labelled(6, 5, 3), labelled(3, 5, 3, seed=5)]
    together = collect(model, batches, LOSS, needs={"grad_sq"}).values["grad_sq"]
    wrapped = Undecided(model)
    with pytest.warns(UserWarning, match=r"taken one by one, which is several times as slow: .*\.item\(\)"):
        alone = collect(wrapped, batches, LOSS, needs={"grad_sq"}).values["grad_sq"]
    assert wrapped.calls >= 9
    for name, value in together.items():
        torch.testing.assert_close(alone[f"inner.{name}"], value, rtol=1e-12, atol=0)


def test_few_samples_at_once_give_the_same(monkeypatch):
    model, batches = relu_net(5, 7, 3), [labelled(10, 5, 3)]
    at_once = collect(model, batches, LOSS, needs={"grad_sq"}).values["grad_sq"]
    monkeypatch.setattr("niwaki.signals.per_sample._ELEMENTS_AT_ONCE", 3 * (5 * 7 + 7 * 3))
    in_parts = collect(model, batches, LOSS, needs={"grad_sq"}).values["grad_sq"]
    for name, value in at_once.items():
        torch.testing.assert_close(in_parts[name], value, rtol=1e-12, atol=0)


def test_tensors_that_do_not_lie_along_the_samples_are_left_whole():
    # Three class weights beside batches of seven samples, taken three at a time.
    model = relu_net(5, 3)
    x, y = labelled(7, 5, 3)
    balance = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)

    def step(model, batch):
        inputs, target, weight = batch
        return (nn.functional.cross_entropy(model(inputs), target, reduction="none") * weight[target]).mean()

    found = collect(model, [(x, y, balance)], step=step, needs={"grad_sq"}).of("grad_sq", "0.weight")
    with pytest.warns(UserWarning, match="one by one"):
        singly = collect(Undecided(model), [(x, y, balance)], step=step, needs={"grad_sq"})
    alone = singly.of("grad_sq", "inner.0.weight")
    torch.testing.assert_close(alone, found, rtol=1e-12, atol=0)
    expected = torch.zeros_like(found)
    for n in range(7):
        value = nn.functional.cross_entropy(model(x[n : n + 1]), y[n : n + 1]) * balance[y[n]]
        expected += torch.autograd.grad(value, model[0].weight)[0] ** 2 / 7
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_hessian_times_gradient_is_exact():
    hessian, theta, linear = random_hessian(7), torch.randn(7).double(), torch.randn(7).double()
    model = Quadratic(hessian, linear, theta)
    # The batches scale the loss by 1, 3 (twice): the mean Hessian is 7/3 H, the mean gradient 7/3 (H theta - b).
    batches = [(torch.tensor([1.0]).double(), None), (torch.tensor([3.0, 3.0]).double(), None)]
    found = collect(model, batches, mean_output, needs={"hessian_grad"}).of("hessian_grad", "theta")
    torch.testing.assert_close(found, (7 / 3) ** 2 * hessian @ (hessian @ theta - linear), rtol=1e-10, atol=1e-12)


def test_what_is_left_out_changes_no_measurement():
    model, batches = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), [labelled(5, 3, 2)]
    model.double()
    kinds = {"grad", "grad_sq", "grad_batches_abs", "hessian_grad", "flow"}
    whole, part = (collect(model, batches, LOSS, needs=kinds, tensors=names) for names in (None, ["2.weight"]))
    for kind in kinds:
        torch.testing.assert_close(part.of(kind, "2.weight"), whole.of(kind, "2.weight"), rtol=1e-10, atol=0)
    model[0].requires_grad_(False)
    frozen = collect(model, batches, LOSS, needs=kinds, tensors=["2.weight"])
    assert not torch.allclose(frozen.of("hessian_grad", "2.weight"), whole.of("hessian_grad", "2.weight"))
    torch.testing.assert_close(frozen.of("grad", "2.weight"), whole.of("grad", "2.weight"))


def test_a_loss_linear_in_the_weights_has_no_curvature():
    model = nn.Linear(3, 2, bias=False)
    batches = [(torch.randn(4, 3), None)]
    generator = torch.Generator().manual_seed(0)
    signals = collect(model, batches, mean_output, needs={"hessian_grad", "hessian_diag", "grad"}, generator=generator)
    assert float(signals.of("grad", "weight").abs().min()) > 0
    assert not signals.of("hessian_grad", "weight").any()
    assert not signals.of("hessian_diag", "weight").any()


def test_weight_is_a_copy_and_noise_comes_from_the_generator():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    state = torch.get_rng_state()
    signals = collect(model, needs={"weight", "noise"}, generator=torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), state)
    expected = torch.Generator().manual_seed(7)
    for name, parameter in model.named_parameters():
        assert torch.equal(signals.of("weight", name), parameter)
        assert signals.of("weight", name).data_ptr() != parameter.data_ptr()
        assert torch.equal(signals.of("noise", name), torch.rand(parameter.shape, generator=expected))


def test_only_what_is_asked_for_is_measured():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    batches = [(torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))]
    by_group = collect(model, batches, LOSS, needs={"weight", "grad_sq"}, tensors=weights(model))
    assert {kind: set(of) for kind, of in by_group.values.items()} == {
        "weight": {"0.weight", "1.weight"},
        "grad_sq": {"0.weight", "1.weight"},
    }
    assert not any(value.requires_grad for of in by_group.values.values() for value in of.values())
    by_name = collect(model, batches, LOSS, needs={"grad"}, tensors=["1.bias"])
    assert {kind: set(of) for kind, of in by_name.values.items()} == {"grad": {"1.bias"}}


def test_an_iterator_serves_several_measurements():
    model, batch = relu_net(5, 7, 3), labelled(6, 5, 3)
    needs = {"grad", "grad_sq", "hessian_grad"}
    from_list = collect(model, [batch, batch], LOSS, needs=needs)
    from_iterator = collect(model, iter([batch, batch]), LOSS, needs=needs)
    for kind in needs:
        assert torch.equal(from_list.of(kind, "0.weight"), from_iterator.of(kind, "0.weight"))


def test_half_precision_adds_up_in_float32():
    # One large batch and 400 small ones: in bfloat16 the sum would stand still long before the end.
    model = nn.Linear(1, 1, bias=False, dtype=torch.bfloat16)
    with torch.no_grad():
        model.weight.fill_(1.0)
    one = torch.ones(1, 1, dtype=torch.bfloat16)
    batches = [(one * 16, None)] + [(one, None)] * 400
    signals = collect(
        model, batches, mean_output, needs={"weight", "grad", "grad_sq", "grad_batches_sq", "grad_batches_abs"}
    )
    assert signals.of("weight", "weight").dtype == torch.bfloat16
    for kind, expected in (
        ("grad", 416 / 401), ("grad_batches_abs", 416 / 401), ("grad_sq", 656 / 401), ("grad_batches_sq", 656 / 401),
    ):  # fmt: skip
        assert signals.of(kind, "weight").dtype == torch.float32
        assert signals.of(kind, "weight").item() == pytest.approx(expected, rel=1e-5)


def test_gradients_are_measured_under_no_grad_too():
    model, x, y, each = _regression()
    with torch.no_grad():
        found = collect(model, [(x, y)], nn.functional.mse_loss, needs={"grad", "grad_sq"})
    np.testing.assert_allclose(found.of("grad", "weight").numpy()[0], each.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.of("grad_sq", "weight").numpy()[0], (each**2).mean(0), rtol=1e-12)
    assert not found.of("grad", "weight").requires_grad


def test_hooks_of_the_training_loop_do_not_colour_the_gradient():
    model, x, y, each = _regression()
    handle = model.weight.register_hook(lambda g: g * 0)
    found = collect(model, [(x, y)], nn.functional.mse_loss, needs={"grad"}).of("grad", "weight")
    handle.remove()
    np.testing.assert_allclose(found.numpy()[0], each.mean(0), rtol=1e-12)
