"""Layers that skip zeros compute the same, and are taken only where the clock speaks for them."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn

from niwaki.core import TrainError
from niwaki.measure import Timing, Timings, skip_zeros, skipping
from niwaki.measure.skipping_layers import SkippingConvolution, SkippingProduct
from tests.structure.computed_layers import X, network

pytestmark = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")


def thinned(model: nn.Module, density: float = 0.1) -> nn.Module:
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.dim() > 1):
            weight.masked_fill_(torch.rand(weight.shape, generator=draw) >= density, 0)
    return model


@pytest.fixture
def verdicts(monkeypatch):
    """In place of the clock: layers with so many inputs or more are faster, or none, or all."""
    seen = []

    def told(models, inputs, **kwargs):
        seen.append((tuple(inputs.shape), kwargs))
        ratio = 0.5 if models["own"].weight.shape[1] >= told.least else 1.5
        rows = [Timing("own", (1.0,), 1.0, 0.0, 1.0, 1.0, 1.0),
                Timing("skipping", (ratio,), ratio, 0.0, ratio, ratio - 0.1, ratio + 0.1)]  # fmt: skip
        return Timings(tuple(rows), 1, 1, True)

    told.least, told.seen = 0, seen
    monkeypatch.setattr(skipping, "latency", told)
    return told


class Net(nn.Module):
    """One of each kind, a layer that is used twice, and one that is never used."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.point = nn.Conv2d(8, 16, 1, bias=False)
        self.strided = nn.Conv2d(16, 16, 1, stride=2)
        self.grouped = nn.Conv2d(16, 16, 1, groups=4)
        self.again = self.mixing = nn.Linear(16, 16)
        self.head = nn.Linear(16, 5)
        self.unused = nn.Linear(16, 5)
        self.watched = nn.Linear(5, 5)
        self.watched.register_forward_hook(lambda module, args, out: out + 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x, scale=1.0):
        x = self.grouped(self.strided(self.point(torch.relu(self.stem(x)))))
        x = self.again(torch.relu(self.mixing(x.mean((2, 3)))))
        return self.watched(self.drop(self.head(x))) * scale


def test_what_is_faster_is_taken_and_the_rest_left(verdicts):
    net, x = thinned(Net()), torch.randn(4, 3, 6, 6)
    net.head.weight.data.fill_(1.0)
    before = copy.deepcopy(net.state_dict())
    verdicts.least = 16
    made = skip_zeros(net, x, threads=3, rounds=7)
    found = {choice.name: (choice.skips, choice.why) for choice in made.layers}
    assert found == {
        "stem": (False, "skipping its zeros is not surely faster here"),
        "point": (False, "skipping its zeros is not surely faster here"),
        "strided": (True, ""),
        "grouped": (False, "skipping its zeros is not surely faster here"),
        "again": (True, ""),
        "head": (False, "too few of its weights are zero"),
        "unused": (False, "the example does not pass through it"),
    }
    assert made.model.again is made.model.mixing and type(made.model.again) is SkippingProduct
    assert (type(made.model.point), type(made.model.strided)) == (nn.Conv2d, SkippingConvolution)
    # Each was timed on what it gets from the example, with what was asked.
    sizes = [(4, 3, 6, 6), (4, 8, 6, 6), (4, 16, 6, 6), (4, 16, 3, 3), (4, 16)]
    assert verdicts.seen == [(size, {"threads": 3, "rounds": 7}) for size in sizes]
    net.eval()
    torch.testing.assert_close(made.model(x), net(x))
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    density = next(choice.density for choice in made.layers if choice.name == "again")
    assert density == float((net.again.weight != 0).double().mean())


def test_a_single_layer_is_a_model(verdicts):
    layer = thinned(nn.Linear(30, 20))
    made = skip_zeros(layer, torch.ones(2, 30))
    assert type(made.model) is SkippingProduct
    torch.testing.assert_close(made.model(torch.ones(2, 30)), layer(torch.ones(2, 30)))
    assert made.layers[0].ratio == 0.5


def test_examples_as_arguments_and_keywords(verdicts):
    net, x = thinned(Net()), torch.randn(1, 3, 4, 4)
    for example in ((x, 2.0), [x, 2.0], {"x": x, "scale": 2.0}):
        made = skip_zeros(net, example)
        assert any(choice.skips for choice in made.layers)
        torch.testing.assert_close(made.model(x), net.eval()(x))


def test_weights_that_are_computed_before_every_pass_are_no_hindrance(verdicts):
    net = network("weight norm").eval()
    thinned(net[4])
    expected = net(X)
    made = skip_zeros(net, X)
    assert any(choice.skips for choice in made.layers)
    torch.testing.assert_close(made.model(X), expected)
    assert torch.equal(net(X), expected)


def test_layers_are_left_alone_by_name(verdicts):
    made = skip_zeros(thinned(Net()), torch.randn(1, 3, 4, 4), ignore=["again", "point"])
    assert (type(made.model.again), type(made.model.point)) == (nn.Linear, nn.Conv2d)
    assert {choice.name for choice in made.layers if choice.skips} == {"stem", "strided", "grouped", "head"}


def test_other_dtypes_are_left_alone_with_the_reason(verdicts):
    made = skip_zeros(thinned(nn.Linear(8, 8)).bfloat16(), torch.ones(1, 8, dtype=torch.bfloat16))
    assert made.layers[0].why == "it is torch.bfloat16 on cpu: zeros are skipped on the CPU in float32 or float64"


def test_a_torch_that_cannot_multiply_so_leaves_all_layers(verdicts, monkeypatch):
    def fails(*args):
        raise RuntimeError("addmm on a sparse CPU tensor requires compiling PyTorch with MKL")

    monkeypatch.setattr(SkippingProduct, "forward", fails)
    made = skip_zeros(thinned(nn.Linear(8, 8)), torch.ones(2, 8))
    assert type(made.model) is nn.Linear
    assert made.layers[0].why.startswith("torch cannot skip zeros here: addmm on a sparse CPU tensor requires")


class Reading(nn.Module):
    """Code that reads the weight of its layer, in one of two ways."""

    def __init__(self, mode):
        super().__init__()
        self.layer, self.mode = nn.Linear(8, 8), mode

    def forward(self, x):
        x = self.layer(x)
        if self.mode == "dtype":
            return x.to(self.layer.weight.dtype)
        return x + self.layer.weight.sum(0) if self.mode == "sum" else x + torch.rand(8)


def test_code_that_reads_a_layer(verdicts):
    model = thinned(Reading("dtype"))
    torch.testing.assert_close(skip_zeros(model, torch.ones(1, 8)).model(torch.ones(1, 8)), model(torch.ones(1, 8)))
    with pytest.raises(TrainError, match=r"Reading does not run with layers that skip zeros .* Name such .* ignore="):
        skip_zeros(thinned(Reading("sum")), torch.ones(1, 8))
    with pytest.raises(TrainError, match=r"Reading gives outputs up to .* of their size away from its own.* ignore="):
        skip_zeros(thinned(Reading("random")), torch.ones(1, 8))
    assert not skip_zeros(thinned(Reading("sum")), torch.ones(1, 8), ignore=["layer"]).layers


class Giving(nn.Module):
    """Gives outputs that have no largest difference: infinite ones, NaN, none at all, whole numbers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.calls = 0

    def forward(self, x):
        y = self.layer(x)
        self.calls += 1  # rounding may change which is largest
        barred = y.masked_fill(torch.arange(8) < 3, float("-inf"))
        return {
            "barred": barred,
            "none": y[:0],
            "odd": (y * float("nan"), self.layer),
            "best": torch.tensor(self.calls),
        }


def test_outputs_that_are_not_finite_or_empty(verdicts):
    model, x = thinned(Giving()), torch.ones(2, 8)
    assert [choice.skips for choice in skip_zeros(model, x).layers] == [True]
    changed = thinned(Reading("random"))
    changed.forward = lambda x: changed.layer(x).masked_fill(torch.rand(2, 8) < 0.5, float("-inf"))
    with pytest.raises(TrainError, match=r"outputs up to inf of their size away"):
        skip_zeros(changed, x)


def test_a_transformer_layer_of_torch(verdicts):
    model = thinned(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)).eval()
    x = torch.randn(2, 5, 16)
    made = skip_zeros(model, x)  # whose fast path reads weights, and calls no layer
    assert {choice.why for choice in made.layers} == {"the example does not pass through it"}
    with torch.inference_mode():
        torch.testing.assert_close(made.model(x), model(x))


def test_nothing_is_warned_of(verdicts):
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)  # or what torch says once a process was heard by the tests before
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            skip_zeros(thinned(nn.Linear(8, 8)), torch.ones(2, 8))
    finally:
        torch.set_warn_always(always)
    assert heard == []


def test_a_wide_layer_with_few_weights_is_faster_by_the_clock():
    layer, x = thinned(nn.Linear(1024, 1024), 0.01), torch.randn(16, 1024)
    # A third of the dense time or less, on a quiet machine; a restless one has a few chances.
    assert any(skip_zeros(layer, x, threads=1).layers[0].skips for _ in range(5))


def test_a_convolution_with_few_weights_is_faster_by_the_clock():
    layer, x = thinned(nn.Conv2d(256, 256, 3, padding=1), 0.01), torch.randn(1, 256, 14, 14)
    assert any(skip_zeros(layer, x, threads=1).layers[0].skips for _ in range(5))  # a fifth of the time
