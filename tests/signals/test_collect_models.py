"""Models and batches of many kinds can be measured: several inputs, tied, compiled, recurrent, with attention."""

from collections import namedtuple
from typing import cast

import pytest
import torch
from torch import nn

from niwaki.signals import KINDS, collect
from tests.criteria.problems import labelled, relu_net

LOSS = nn.functional.cross_entropy


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, a, b, scale=1.0):
        return (self.left(a) + self.right(b)) * scale


Sample = namedtuple("Sample", ["a", "b"])


@pytest.mark.parametrize("form", ["tuple", "list", "named", "dict", "step"])
def test_inputs_come_in_many_forms(form):
    model = TwoInputs()
    a, b, y = torch.randn(5, 3), torch.randn(5, 4), torch.randint(0, 2, (5,))
    value = LOSS(model(a, b, scale=2.0), y)
    expected = torch.autograd.grad(value, list(model.parameters()))
    inputs = {
        "tuple": (a, b, 2.0),
        "list": [a, b, 2.0],
        "named": Sample(a, b),
        "dict": {"a": a, "b": b, "scale": 2.0},
        "step": {"a": a, "b": b, "y": y},
    }[form]
    needs = {"grad", "grad_sq", "hessian_grad"}
    if form == "step":
        signals = collect(
            model, [inputs], step=lambda m, batch: LOSS(m(batch["a"], batch["b"], 2.0), batch["y"]), needs=needs
        )
    elif form == "named":
        signals = collect(model, [(inputs, y)], lambda output, target: LOSS(2.0 * output, target), needs=needs)
    else:
        signals = collect(model, [(inputs, y)], LOSS, needs=needs)
    for name, gradient in zip(("left.weight", "right.weight"), expected, strict=True):
        torch.testing.assert_close(signals.of("grad", name), gradient)
    each = [
        torch.autograd.grad(LOSS(model(a[n : n + 1], b[n : n + 1], 2.0), y[n : n + 1]), model.left.weight)[0]
        for n in range(5)
    ]
    torch.testing.assert_close(signals.of("grad_sq", "left.weight"), torch.stack(each).square().mean(0))


def test_tied_weights_are_one_tensor():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return self.second(torch.tanh(self.first(x)))

    model = Tied()
    batch = (torch.randn(5, 3), torch.randint(0, 3, (5,)))
    signals = collect(model, [batch], LOSS, needs={"grad", "grad_sq"})
    assert set(signals.values["grad"]) == {"first.weight"}
    expected = torch.autograd.grad(LOSS(model(batch[0]), batch[1]), model.first.weight)[0]
    torch.testing.assert_close(signals.of("grad", "first.weight"), expected)


def test_compiled_models_and_recurrent_ones_can_be_measured():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.out = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.lstm(x)[0][:, -1])

    model = Recurrent()
    batches = [(torch.randn(6, 5, 3), torch.randint(0, 2, (6,)))]
    needs = {"grad", "grad_sq", "hessian_grad"}
    plain = collect(model, batches, LOSS, needs=needs)
    wrapped = collect(torch.compile(model), batches, LOSS, needs=needs)
    expected = torch.autograd.grad(LOSS(model(batches[0][0]), batches[0][1]), model.lstm.weight_hh_l0)[0]
    torch.testing.assert_close(plain.of("grad", "lstm.weight_hh_l0"), expected)
    for kind in needs:
        assert set(wrapped.values[kind]) == {name for name, _ in model.named_parameters()}
        assert torch.equal(wrapped.of(kind, "lstm.weight_hh_l0"), plain.of(kind, "lstm.weight_hh_l0"))
        assert plain.of(kind, "lstm.weight_hh_l0").any()


def test_models_with_compiled_parts_are_run_eagerly():
    # What was compiled cannot be differentiated twice.
    model, batches = relu_net(5, 7, 3), [labelled(6, 5, 3)]
    expected = collect(model, batches, LOSS, needs={"hessian_grad"}).values["hessian_grad"]
    parts, in_place = nn.Sequential(*model), nn.Sequential(*model)
    parts[0] = cast("nn.Module", torch.compile(model[0], backend="aot_eager"))
    in_place.compile(backend="aot_eager")
    for wrapped in (parts, in_place):
        found = collect(wrapped, batches, LOSS, needs={"hessian_grad"}).values["hessian_grad"]
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_attention_can_be_differentiated_twice():
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, dtype=torch.float64)
    batch = (torch.randn(3, 4, 8).double(), torch.randn(3, 4, 8).double())
    found = collect(model, [batch], nn.functional.mse_loss, needs={"grad", "hessian_grad"})
    g = {name: found.of("grad", name) for name, _ in model.named_parameters()}

    def gradient(step):
        values = {n: (p.detach() + step * g[n]).requires_grad_() for n, p in model.named_parameters()}
        value = nn.functional.mse_loss(torch.func.functional_call(model, values, (batch[0],)), batch[1])
        return torch.autograd.grad(value, values["linear1.weight"])[0]

    difference = (gradient(1e-4) - gradient(-1e-4)) / 2e-4
    torch.testing.assert_close(found.of("hessian_grad", "linear1.weight"), difference, rtol=1e-4, atol=1e-8)


@pytest.mark.accelerator
def test_signals_lie_where_the_model_lies():
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)).cuda()
    batches = [(torch.randn(6, 5), torch.randint(0, 3, (6,)))]
    there = collect(model, batches, LOSS, needs=KINDS, generator=torch.Generator().manual_seed(0))
    here = collect(model.cpu(), batches, LOSS, needs=KINDS, generator=torch.Generator().manual_seed(0))
    for kind in KINDS:
        assert there.of(kind, "0.weight").device.type == "cuda"
        torch.testing.assert_close(there.of(kind, "0.weight").cpu(), here.of(kind, "0.weight"), rtol=1e-3, atol=1e-5)
