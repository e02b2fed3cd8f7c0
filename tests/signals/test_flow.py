"""Synaptic flow against the products it stands for."""

import copy

import pytest
import torch
from torch import nn

from niwaki.signals import collect


def _flow(model, *shape):
    return collect(model, [(torch.randn(3, *shape), None)], needs={"flow"}).values["flow"]


def test_two_layers_by_hand():
    # |W1| = [[1, 2], [0, 3]], |W2| = [[4, 5]], x = (1, 1): hidden (3, 3), R = 27.
    # dR/dW1[i, j] = |W2|[i] * 1; dR/dW2[i] = hidden[i].
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, -3.0]]))
        model[2].weight.copy_(torch.tensor([[-4.0, 5.0]]))
    found = _flow(model, 2)
    assert found["0.weight"].tolist() == [[4.0, 4.0], [5.0, 5.0]]
    assert found["2.weight"].tolist() == [[3.0, 3.0]]
    assert found["0.weight"].dtype == torch.float64


def test_biases_count_with_their_size():
    model = nn.Sequential(nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
        model[0].bias.fill_(-5.0)
        model[2].weight.fill_(2.0)
    # Hidden: 1 + 1 + |-5| = 7.
    assert _flow(model, 2)["2.weight"].item() == 7.0
    assert _flow(model, 2)["0.bias"].item() == 2.0


NORMS = {
    "layer": (nn.LayerNorm(4), 1.0),
    "rms": (nn.RMSNorm(4), 1.0),
    "group": (nn.GroupNorm(2, 4), 1.0),
    "instance": (nn.InstanceNorm1d(4, affine=True), 1.0),
    "batch": (nn.BatchNorm1d(4), 0.25),  # 1 / sqrt(16)
    "batch_of_this_batch": (nn.BatchNorm1d(4, track_running_stats=False), 1.0),
}


@pytest.mark.parametrize("kind", sorted(NORMS))
def test_norms_only_scale(kind):
    norm, factor = NORMS[kind]
    norm = copy.deepcopy(norm)
    first, last = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)
    gain = torch.tensor([1.0, -2.0, 0.5, 3.0])
    with torch.no_grad():
        norm.weight.copy_(gain)
        if getattr(norm, "running_var", None) is not None:
            norm.running_var.fill_(16.0 - norm.eps)
            norm.running_mean.fill_(100.0)
    if kind == "instance":
        model = nn.Sequential(first, nn.Unflatten(1, (4, 1)), norm, nn.Flatten(), nn.ReLU(), last)
    else:
        model = nn.Sequential(first, norm, nn.ReLU(), last)
    found = _flow(model, 3)
    # dR/d|W1|[i, j] = factor |gain_i| sum_o |W2|[o, i] * 1.
    out = last.weight.detach().double().abs().sum(0) * gain.double().abs() * factor
    torch.testing.assert_close(found["0.weight"], out[:, None].expand(4, 3), rtol=1e-6, atol=0)


def test_norms_in_the_middle_of_a_forward_are_found():
    class Inside(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, -4.0]]))

        def forward(self, x):
            return nn.functional.layer_norm(x @ self.weight.T, (2,))

    assert _flow(Inside(), 2)["weight"].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_every_layer_of_a_convolution_net_with_batch_norm_carries_the_same():
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4, bias=False),
    )  # fmt: skip
    with torch.no_grad():
        model[1].weight.uniform_(-1, 1)
        model[5].running_var.uniform_(0.5, 2)
        model[5].running_mean.uniform_(-1, 1)
    found = _flow(model, 3, 8, 8)
    sums = [
        float((model.get_parameter(n).detach().double().abs() * found[n]).sum())
        for n in ("0.weight", "4.weight", "10.weight")
    ]
    assert sums == pytest.approx([sums[0]] * 3)
    # Gains carry the flow, too.
    assert float((model[1].weight.detach().double().abs() * found["1.weight"]).sum()) == pytest.approx(sums[0])
    assert all(float(value.min()) >= 0 for value in found.values())


def test_dropout_is_off():
    model = nn.Sequential(nn.Linear(3, 40, bias=False), nn.Dropout(0.5), nn.Linear(40, 2, bias=False))
    found = _flow(model, 3)
    torch.testing.assert_close(found["2.weight"], model[0].weight.detach().double().abs().sum(1).expand(2, 40))
    assert model[1].training


def test_depth_does_not_overflow():
    layers = [nn.Linear(50, 50, bias=False) for _ in range(60)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.fill_(1.0)
    found = _flow(nn.Sequential(*layers), 50)
    # 50 paths a layer: far beyond float32, whose largest number is 3.4e38.
    assert float(found["0.weight"][0, 0]) == pytest.approx(50.0**59)


def test_inputs_and_outputs_come_in_many_forms():
    class Forms(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)

        def forward(self, x, index):
            return {"first": self.a(x)[index], "rest": (self.b(x), index)}

    model = Forms()
    inputs = {"x": torch.randn(3, 2), "index": torch.zeros(3, dtype=torch.long)}
    found = collect(model, [(inputs, None)], needs={"flow"}).values["flow"]
    assert found["a.weight"].tolist() == [[1.0, 1.0]]
    assert found["b.weight"].tolist() == [[1.0, 1.0]]
