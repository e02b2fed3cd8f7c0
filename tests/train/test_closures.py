"""``optimizer.step(closure)``: the gradients are made inside the step."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from niwaki.core import TrainError
from niwaki.methods import acdc, iee, rigl, static
from niwaki.structure.declare import weights

from .loops import OPTIMIZERS, batch, mlp, net, train


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("make", [iee, rigl, acdc], ids=lambda make: make.__name__)
def test_a_closure_changes_nothing(name, make):
    switches = {iee: {"H": 4, "J": 3, "Q": 3}, rigl: {"every": 5}, acdc: {}}[make]
    plain, closing = net(), net()
    runs = []
    for model in (plain, closing):
        optimizer = OPTIMIZERS[name](model.parameters())
        sparsifier = make(model, weights(model), density=0.3, steps=60, **switches).attach(optimizer)
        runs.append((model, optimizer, sparsifier))
    train(plain, runs[0][1], range(60))
    closing.train()
    losses = []
    for step in range(60):

        def closure(step=step):
            runs[1][1].zero_grad()
            x, y = batch(step)
            loss = F.cross_entropy(closing(x), y)
            loss.backward()
            return loss

        losses.append(runs[1][1].step(closure) if step % 2 else runs[1][1].step(closure=closure))
    assert all(isinstance(loss, torch.Tensor) for loss in losses)
    assert runs[0][2].step == runs[1][2].step == 60
    assert runs[0][2].history == runs[1][2].history
    assert runs[0][2].ledger.flops == runs[1][2].ledger.flops
    for key, value in plain.state_dict().items():
        assert torch.equal(closing.state_dict()[key], value), key


class Twice(torch.optim.SGD):
    """Asks for its gradients at two points."""

    def step(self, closure=None):
        assert closure is not None
        closure()
        return super().step(closure)


def test_an_optimizer_that_wants_gradients_at_several_points_is_refused():
    model = mlp()
    groups = weights(model)
    with pytest.raises(TrainError, match="LBFGS makes an update of gradients at several points"):
        static(model, groups, density=0.5).attach(torch.optim.LBFGS(model.parameters()))
    optimizer = Twice(model.parameters(), lr=0.1)
    sparsifier = static(model, groups, density=0.5).attach(optimizer)
    before = copy.deepcopy(model.state_dict())

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(2, 12)).square().mean()
        loss.backward()
        return loss

    with pytest.raises(TrainError, match="calls its closure more than once in a step"):
        optimizer.step(closure)
    assert sparsifier.step == 0
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
