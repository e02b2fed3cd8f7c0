"""Training goes on where its FLOPs cannot be counted: they are unknown, and that is said once."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn

from niwaki.core import TrainError
from niwaki.methods import rigl, static
from niwaki.structure.declare import weights


class Equation(nn.Module):
    """The residual of ``u' = u``, for a network ``u``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.u = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        u: Tensor = self.u(x)
        return torch.autograd.grad(u.sum(), x, create_graph=True)[0] - u


class Once(nn.Module):
    """Works through its inputs in order, so that nobody else can run it in between."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.seen = nn.Linear(1, 16), [0]
        self.out = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        if type(x) is not Tensor or x.grad_fn is None:
            raise LookupError("these inputs are not mine")
        y: Tensor = self.out(torch.tanh(self.inner(x)))
        return y


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int, *, own: bool = False) -> list[float]:
    losses = []
    for _ in range(count):
        x = torch.linspace(0, 1, 8)[:, None]
        optimizer.zero_grad()
        loss = model(x.requires_grad_() * 1 if own else x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_an_equation_is_trained_and_counted():
    model = Equation()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = static(model, weights(model), density=0.5, steps=20).attach(optimizer)
    losses = steps(model, optimizer, 20)
    assert losses[-1] < losses[0]
    # Forward and derivative: 2 * 2 * 8 (16 + 16), of which half the weights act; a step is three of that.
    assert sparsifier.ledger.dense_step_flops == 3 * 2 * 2 * 8 * 32
    assert sparsifier.ledger.flops == pytest.approx(20 * 3 * 2 * 2 * 8 * 16)


def test_what_cannot_be_run_apart_is_trained_and_its_cost_is_unknown():
    model = Once()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = rigl(model, weights(model), density=0.5, steps=20, every=5).attach(optimizer)
    words = r"FLOPs of training Once stay unknown: .* .LookupError: these inputs are not mine.; .* example="
    with pytest.warns(UserWarning, match=words) as said:
        steps(model, optimizer, 3, own=True)
    assert len(said) == 1
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(model, optimizer, 17, own=True)
    ledger = sparsifier.ledger
    assert (ledger.steps, ledger.flops, ledger.dense_step_flops, ledger.dense_runs()) == (20, None, None, None)
    assert "unknown" in str(ledger)
    assert sparsifier.step == 20


def test_an_example_that_cannot_be_run_is_refused_before_the_training():
    model = Once()
    with pytest.raises(TrainError, match="Once could not be run once to count its FLOPs: LookupError: these inputs"):
        static(model, weights(model), density=0.5, example=torch.zeros(8, 1))


def test_an_error_of_the_model_itself_is_its_own():
    model = nn.Sequential(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    static(model, weights(model), density=0.5).attach(optimizer)
    with pytest.warns(UserWarning, match="stay unknown"), pytest.raises(RuntimeError, match="mat1 and mat2") as raised:
        model(torch.zeros(2, 7))
    assert not isinstance(raised.value, TrainError)
