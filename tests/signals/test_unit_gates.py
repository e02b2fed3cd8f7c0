"""Signals of whole units, against loops over samples and the exact Hessian."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import Group, Slice
from niwaki.signals import collect, per_sample
from niwaki.structure.declare import blocks, weights

LOSS = nn.functional.cross_entropy


def _index(size, each=1):
    return torch.arange(size * each).reshape(size, each)


def _net():
    """A convolution, a norm and a linear layer that reads two positions of each channel."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.Tanh(), nn.Flatten(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)
    ).double()
    model(torch.randn(9, 2, 3, dtype=torch.float64))
    return model.eval()


def _channels():
    slices = (
        Slice("0.weight", (3, 2, 2), dim=0, index=_index(3), role="out"),
        Slice("0.bias", (3,), dim=0, index=_index(3), role="bias"),
        Slice("1.weight", (3,), dim=0, index=_index(3), role="scale"),
        Slice("1.bias", (3,), dim=0, index=_index(3), role="shift"),
        Slice("4.weight", (4, 6), dim=1, index=_index(3, 2), role="in"),
    )
    hidden = (
        Slice("4.weight", (4, 6), dim=0, index=_index(4), role="out"),
        Slice("6.weight", (3, 4), dim=1, index=_index(4), role="in"),
    )
    groups = [Group("conv", 3, slices, kind="channel"), Group("hidden", 4, hidden, kind="channel")]
    # The same without a word of who reads: gated everywhere.
    return [*groups, Group("bare", 3, tuple(replace(where, role="") for where in slices), kind="channel")]


def _batches():
    generator = torch.Generator().manual_seed(2)
    return [
        (torch.randn(n, 2, 3, generator=generator, dtype=torch.float64), torch.randint(0, 3, (n,), generator=generator))
        for n in (4, 3)
    ]


def _places(group, unit):
    """Every element of a unit that its gate acts on, once, as (tensor, position)."""
    found: dict[tuple[str, tuple[int, ...]], None] = {}
    has_readers = any(where.role == "in" for where in group.slices)
    for where in group.slices:
        if has_readers and where.role != "in":
            continue
        for place in np.ndindex(*where.shape):
            if place[where.dim] in where.index[unit].tolist():
                found[where.tensor, place] = None
    return list(found)


def test_squared_gradients_of_units_against_a_loop_over_samples():
    model, batches = _net(), _batches()
    groups = _channels()
    signals = collect(model, batches, LOSS, needs={"gate_grad_sq"}, tensors=groups)
    for group in groups:
        expected = np.zeros(group.size)
        for inputs, target in batches:
            for n in range(len(inputs)):
                model.zero_grad()
                LOSS(model(inputs[n : n + 1]), target[n : n + 1]).backward()
                for unit in range(group.size):
                    change = 0.0
                    for name, place in _places(group, unit):
                        parameter = model.get_parameter(name)
                        change += float(parameter.grad[place] * parameter.detach()[place])
                    expected[unit] += change**2 / 7
        np.testing.assert_allclose(signals.of("gate_grad_sq", group.name).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["gate_grad_sq", "grad_sq"])
def test_samples_are_measured_together(kind, monkeypatch):
    # One by one gives the same numbers at several times the price, and nobody would see why.
    slow = Mock(wraps=per_sample._one_by_one)
    monkeypatch.setattr(per_sample, "_one_by_one", slow)
    collect(_net(), _batches(), LOSS, needs={kind}, tensors=_channels())
    assert not slow.called


def _exact(model, batches, group):
    """theta_u^T H theta_u for each unit, with the whole Hessian of the mean loss written out."""
    names = list(dict(model.named_parameters()))
    values = [model.get_parameter(name).detach() for name in names]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))

    def loss(*tensors):
        return LOSS(torch.func.functional_call(model, dict(zip(names, tensors, strict=True)), (x,)), y)

    hessian = torch.autograd.functional.hessian(loss, tuple(values))
    found = []
    for unit in range(group.size):
        mine = []
        for value, name in zip(values, names, strict=True):
            part = torch.zeros_like(value)
            for tensor, place in _places(group, unit):
                if tensor == name:
                    part[place] = value[place]
            mine.append(part.reshape(-1))
        total = 0.0
        for i, left in enumerate(mine):
            for j, right in enumerate(mine):
                total += float(left @ hessian[i][j].reshape(left.numel(), right.numel()) @ right)
        found.append(total)
    return np.array(found)


def _estimate(model, batches, groups, draws, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return collect(
        model, batches, LOSS, needs={"gate_hessian_diag"}, tensors=groups, generator=generator, draws=draws
    )  # fmt: skip


def test_curvature_of_units_converges_to_the_exact_one():
    model, batches = _net(), [tuple(torch.cat(parts) for parts in zip(*_batches(), strict=True))]
    groups = _channels()
    errors = {}
    exact = {group.name: _exact(model, batches, group) for group in groups}
    for draws in (4, 256):
        runs = [_estimate(model, batches, groups, draws, seed) for seed in range(8)]
        errors[draws] = {
            g.name: np.sqrt(
                np.mean([(run.of("gate_hessian_diag", g.name).numpy() - exact[g.name]) ** 2 for run in runs])
            )
            for g in groups
        }
    found = {g.name: np.array([run.of("gate_hessian_diag", g.name).numpy() for run in runs]) for g in groups}
    for group in groups:
        # No bias: the mean of the runs lies within a few of its standard errors.
        doubt = found[group.name].std(0, ddof=1) / 8**0.5
        assert (np.abs(found[group.name].mean(0) - exact[group.name]) < 5 * doubt).all()
        # Sixty-four times the draws, an eighth of the error, within what eight repetitions can tell.
        assert 3 < errors[4][group.name] / errors[256][group.name] < 20


def test_one_unit_alone_has_no_noise():
    # A single gate has no other to interfere with: one draw of signs is exact.
    model, batches = _net(), _batches()
    where = Slice("0.weight", (3, 2, 2), dim=0, index=torch.tensor([[1]]))
    group = Group("one", 1, (where,), kind="channel")
    found = _estimate(model, batches, [group], 1).of("gate_hessian_diag", "one")
    np.testing.assert_allclose(found.numpy(), _exact(model, batches, group), rtol=1e-9)


def test_an_element_that_two_slices_give_to_one_unit_is_gated_once():
    model = nn.Linear(3, 3, bias=False).double()
    stream = Group(
        "s", 3, tuple(Slice("weight", (3, 3), dim=dim, index=_index(3)) for dim in (0, 1)), kind="channel"
    )  # fmt: skip
    batches = [(torch.randn(6, 3).double(), torch.randint(0, 3, (6,)))]
    found = collect(model, batches, LOSS, needs={"gate_grad_sq"}, tensors=[stream]).of("gate_grad_sq", "s")
    expected = np.zeros(3)
    for n in range(6):
        gradient = torch.autograd.grad(LOSS(model(batches[0][0][n : n + 1]), batches[0][1][n : n + 1]), model.weight)[0]
        change = (gradient * model.weight).detach().numpy()
        for u in range(3):
            expected[u] += (change[u].sum() + change[:, u].sum() - change[u, u]) ** 2 / 6
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("make", [weights, lambda model: blocks(model, (2, 2))], ids=["weights", "blocks"])
def test_single_weights_and_blocks_are_units_too(make):
    model = nn.Linear(5, 4).double()
    (group,) = make(model)
    batches = [(torch.randn(7, 5).double(), torch.randint(0, 4, (7,)))]
    found = collect(model, batches, LOSS, needs={"gate_grad_sq"}, tensors=[group]).of("gate_grad_sq", group.name)
    expected = torch.zeros(4, 5, dtype=torch.float64)
    per_block = torch.zeros(2, 3, dtype=torch.float64)
    for n in range(7):
        gradient = torch.autograd.grad(LOSS(model(batches[0][0][n : n + 1]), batches[0][1][n : n + 1]), model.weight)[0]
        change = (gradient * model.weight).detach()
        expected += change.square() / 7
        for i in range(2):
            for j in range(3):
                per_block[i, j] += change[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].sum() ** 2 / 7
    torch.testing.assert_close(found, (expected if group.size == 20 else per_block).reshape(-1))


def test_half_precision_weights_have_gates_in_float32():
    model = nn.Linear(3, 2, bias=False, dtype=torch.bfloat16)
    rows = Group("rows", 2, (Slice("weight", (2, 3), dim=0, index=_index(2)),), kind="channel")
    batches = [(torch.randn(4, 3, dtype=torch.bfloat16), torch.randint(0, 2, (4,)))]
    found = collect(model, batches, LOSS, needs={"gate_grad_sq"}, tensors=[rows]).of("gate_grad_sq", "rows")
    assert found.dtype == torch.float32
    assert float(found.min()) > 0
