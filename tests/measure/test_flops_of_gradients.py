"""Models that differentiate on their way forward: forces, residuals of equations. Counted with gradients enabled."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from niwaki.core import TrainError
from niwaki.measure import count_flops


class Force(nn.Module):
    """Minus the gradient of an energy, as a force field gives it."""

    def __init__(self, *layers: nn.Module, value: bool = False) -> None:
        super().__init__()
        self.energy, self.value = nn.Sequential(*layers), value

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        energy = self.energy(x).square().sum()
        if self.value:  # a decision that tensors without values cannot make
            energy = energy * (2.0 if float(energy.detach()) > 0 else 1.0)
        force: Tensor = -torch.autograd.grad(energy, x, create_graph=self.training)[0]
        return force


class Insisting(nn.Module):
    """Will not run without gradients, and wants them of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        assert torch.is_grad_enabled()
        y: Tensor = self.inner(x)
        return y


class Differentiated(nn.Module):
    """Differentiates by an input that must come with a gradient of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.autograd.grad(self.inner(x).sum(), x, create_graph=True)[0]


class Selfish(nn.Module):
    """Calls `backward` itself, and so writes on parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        y.square().mean().backward(retain_graph=True)
        return y


def perceptron(**how: bool) -> Force:
    return Force(nn.Linear(4, 8, bias=False), nn.Tanh(), nn.Linear(8, 1, bias=False), **how)


def test_a_force_costs_its_energy_twice():
    # Forward 5 (4 8 + 8) multiplications; backward to the input each matrix once more, the other way round.
    found = count_flops(perceptron(), (torch.rand(5, 4),))
    assert found.per_tensor == {"energy.0.weight": 2 * 2 * 5 * 32, "energy.2.weight": 2 * 2 * 5 * 8}
    assert (found.other, found.uncounted, found.batch) == (0, (), 5)


def by_torch(model: Force, x: Tensor) -> float:
    """By torch's counter, which cannot follow modules through a gradient: so by functions."""
    first, last = (module for module in model.energy if not isinstance(module, nn.Tanh))
    with FlopCounterMode(display=False) as counter:
        x = x.clone().requires_grad_()
        if isinstance(first, nn.Linear):
            energy = F.linear(torch.tanh(F.linear(x, first.weight)), last.weight)
        else:
            energy = F.conv2d(torch.tanh(F.conv2d(x, first.weight)), last.weight, stride=2)
        torch.autograd.grad(energy.square().sum(), x, create_graph=True)
    return float(counter.get_total_flops())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("value", [True, False])
def test_what_torch_counts_is_counted_and_belongs_to_the_weights(value, training):
    layers = nn.Conv2d(2, 3, 3, bias=False), nn.Tanh(), nn.Conv2d(3, 2, 3, stride=2, bias=False)
    for model, x in (
        (perceptron(value=value), torch.rand(5, 4)),
        (Force(*layers, value=value), torch.rand(2, 2, 9, 9)),
    ):
        found = count_flops(model.train(training), (x,))
        assert found.total == by_torch(model, x)
        assert set(found.per_tensor) == {"energy.0.weight", "energy.2.weight"}
        assert found.other == 0
        assert not x.requires_grad


def test_what_needs_gradients_only_to_be_on_costs_what_it_would_without():
    found = count_flops(Insisting(), (torch.rand(5, 4),))
    assert found.per_tensor == {"inner.weight": 2 * 5 * 12}
    x = torch.rand(5, 4, requires_grad=True)
    assert count_flops(Differentiated(), (x,)).per_tensor == {"inner.weight": 2 * 2 * 5 * 4}
    assert x.grad is None


@pytest.mark.parametrize("model", [Selfish(), perceptron(value=True)], ids=["backward", "values"])
def test_counting_with_gradients_leaves_no_trace(model):
    calls: list[Tensor] = []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.random.get_rng_state()
    for parameter in model.parameters():
        parameter.register_hook(calls.append)
    with torch.no_grad():
        assert count_flops(model, (torch.rand(5, 4, generator=torch.Generator()),)).total > 0
        assert not torch.is_grad_enabled()
    assert calls == []
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), random)


def test_what_cannot_be_run_either_way_is_refused():
    class Alone(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("not here" if torch.is_grad_enabled() else "no gradients")

    with pytest.raises(
        TrainError, match="Alone could not be run once to count its FLOPs: ValueError: not here; give as"
    ):
        count_flops(Alone(2, 2), (torch.rand(1, 2),))
