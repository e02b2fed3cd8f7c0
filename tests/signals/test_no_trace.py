"""Measuring leaves no trace on the model, also when it fails."""

import copy
from contextlib import contextmanager

import pytest
import torch
from torch import nn

from niwaki.core import Group, SignalError, Slice
from niwaki.signals import KINDS, collect
from niwaki.signals.processes import is_shared


class Everything(nn.Module):
    """Batch norm, dropout, a frozen parameter, a part in eval mode, a counter among the buffers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.LayerNorm(5), nn.Linear(5, 3))
        self.head[0].weight.requires_grad_(False)
        self.head[1].eval()
        self.seen: torch.Tensor
        self.register_buffer("seen", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.seen += 1
        if self.fails:
            raise ZeroDivisionError("in the middle of it")
        return self.head(self.body(x).mean((2, 3)))


CHANNELS = Group(
    "channels", 4,
    tuple(
        Slice(name, shape, dim=dim, index=torch.arange(4).reshape(4, 1))
        for name, shape, dim in [
            ("body.0.weight", (4, 2, 3, 3), 0), ("body.0.bias", (4,), 0), ("body.1.weight", (4,), 0),
            ("body.1.bias", (4,), 0), ("head.0.weight", (5, 4), 1),
        ]
    ),
    kind="channel",
)  # fmt: skip


def _measured(model, kind):
    if kind.startswith("gate_"):
        return {"channels"}
    every = {name for name, _ in model.named_parameters()}
    return {"body.0.weight", "head.0.weight", "head.3.weight"} if kind == "input_norm" else every


def _model():
    model = Everything()
    batches = [(torch.randn(6, 2, 5, 5), torch.randint(0, 3, (6,))) for _ in range(2)]
    with torch.no_grad():
        model.body[0].weight[0, 0, 0, 0] = -0.0
    nn.functional.cross_entropy(model(batches[0][0]), batches[0][1]).backward()
    return model, batches


@contextmanager
def _unchanged(model):
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    before = {name: (t, t.clone(), t._version, t.requires_grad, t.is_leaf) for name, t in tensors.items()}
    gradients = {name: (p.grad, None if p.grad is None else p.grad.clone()) for name, p in model.named_parameters()}
    flags = [module.training for module in model.modules()]
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()]
    yield
    assert [module.training for module in model.modules()] == flags
    assert [
        (len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()
    ] == hooks
    after = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, (tensor, value, version, wants, leaf) in before.items():
        assert after[name] is tensor, f"{name} was replaced"
        # Signs of zeros, too.
        assert torch.equal(tensor, value), f"{name} was changed"
        assert torch.equal(torch.signbit(tensor), torch.signbit(value)), f"the sign of {name} was changed"
        assert (tensor._version, tensor.requires_grad, tensor.is_leaf) == (version, wants, leaf)
    for name, (gradient, value) in gradients.items():
        now = model.get_parameter(name).grad
        assert now is gradient
        assert (now is None and value is None) or torch.equal(now, value)


def _collect(model, batches, kind, **more):
    generator = torch.Generator().manual_seed(0)
    if kind.startswith("gate_"):
        more["tensors"] = [CHANNELS]
    return collect(model, batches, nn.functional.cross_entropy, needs={kind}, generator=generator, **more)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nothing_changes(kind, training):
    model, batches = _model()
    if not training:
        model.eval()
    with _unchanged(model):
        signals = _collect(model, batches, kind)
    assert set(signals.values[kind]) == _measured(model, kind)


@pytest.mark.parametrize("kind", sorted(KINDS - {"weight", "noise"}))
def test_nothing_changes_when_the_model_fails(kind):
    model, batches = _model()
    model.fails = True
    with _unchanged(model), pytest.raises(ZeroDivisionError, match="in the middle of it"):
        _collect(model, batches, kind)


@pytest.mark.parametrize("kind", sorted(KINDS - {"weight", "noise", "flow"}))
def test_nothing_changes_when_a_number_is_not_finite(kind):
    model, batches = _model()
    batches[1][0][0] = torch.inf
    what = "group 'channels'" if kind.startswith("gate_") else "tensor 'body.0.weight'"
    with _unchanged(model), pytest.raises(SignalError, match=f"the signal '{kind}' of {what} is not fin"):
        _collect(model, batches, kind)


def test_training_goes_on_as_if_nothing_had_been_measured():
    measured, batches = _model()
    alone = copy.deepcopy(measured)
    for model in (measured, alone):
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
        torch.manual_seed(3)
        for inputs, target in batches * 2:
            if model is measured:
                state = torch.get_rng_state()
                for kind in sorted(KINDS):
                    _collect(model, batches, kind)
                torch.set_rng_state(state)  # dropout draws from the global generator, as is said
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), target).backward()
            optimizer.step()
    for (name, ours), theirs in zip(measured.state_dict().items(), alone.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_eval_mode_draws_nothing_from_the_global_generator():
    model, batches = _model()
    model.eval()
    state = torch.get_rng_state()
    for kind in sorted(KINDS):
        _collect(model, batches, kind)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("kind", "name"), [("grad_sq", "body.0.weight"), ("gate_grad_sq", "channels")])
def test_batch_norm_uses_running_statistics_for_single_samples(kind, name):
    model, batches = _model()
    model.body[3].p = 0.0
    training = _collect(model, batches, kind)
    model.eval()
    evaluating = _collect(model, batches, kind)
    torch.testing.assert_close(training.of(kind, name), evaluating.of(kind, name))


def test_input_norms_draw_nothing_and_see_the_network_as_it_is_used():
    model, batches = _model()
    state = torch.get_rng_state()
    training = _collect(model, batches, "input_norm")
    assert torch.equal(torch.get_rng_state(), state)
    model.eval()
    evaluating = _collect(model, batches, "input_norm")
    for name, norms in training.values["input_norm"].items():
        assert torch.equal(norms, evaluating.of("input_norm", name))


def test_one_process_shares_with_nobody():
    assert not is_shared(True)
