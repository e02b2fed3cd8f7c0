"""What the sparsifier refuses, and that nothing has changed then."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.core import GroupError, SignalError, TrainError
from niwaki.criteria import Fisher
from niwaki.methods import iee, static
from niwaki.structure.declare import weights

from .loops import OPTIMIZERS, batch, mlp, net, train


def test_an_optimizer_of_another_model_is_refused_by_name():
    model, other = net(), net()
    sparsifier = static(model, weights(model), density=0.5)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(TrainError, match=r"does not hold '0\.weight'"):
        sparsifier.attach(OPTIMIZERS["sgd"](other.parameters()))
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())


def test_a_model_changed_after_its_groups_were_made_is_refused():
    model = net()
    groups = weights(model)
    model[8] = nn.Linear(32, 5)
    with pytest.raises(GroupError, match=r"'8\.weight' had shape \(4, 32\).*has \(5, 32\) now"):
        static(model, groups, density=0.5)


def test_a_gradient_that_is_not_finite_stops_before_anything_changes():
    model = net()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    sparsifier = iee(model, weights(model), density=0.2, steps=40, H=5, J=4, Q=6).attach(optimizer)
    train(model, optimizer, range(4))
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    x, y = batch(4)
    optimizer.zero_grad()
    (F.cross_entropy(model(x), y) * float("nan")).backward()
    with pytest.raises(SignalError, match=r"gradient of '0\.weight' is not finite in step 5; nothing was changed"):
        optimizer.step()
    assert sparsifier.step == 4
    assert all(
        torch.equal(model.state_dict()[key], value)
        for key, value in before[0].items()
        if "running" not in key and "num_b" not in key
    )
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(after[i][k], v) for i, s in before[1]["state"].items() for k, v in s.items())


def test_a_closure_is_refused():
    model = mlp()
    optimizer = OPTIMIZERS["plain"](model.parameters())
    static(model, weights(model), density=0.5).attach(optimizer)
    with pytest.raises(TrainError, match="without a closure"):
        optimizer.step(lambda: 0.0)


def test_a_criterion_whose_signal_nobody_collects_is_refused():
    model = mlp()
    with pytest.raises(SignalError, match=r"Fisher needs the signal\(s\) grad_sq.*probe="):
        iee(model, weights(model), density=0.2, steps=60, H=5, J=4, Q=3, criterion=Fisher())


def test_parameters_outside_the_optimizer_are_warned_about():
    model = net()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.dim() > 1], lr=0.1)
    sparsifier = iee(model, weights(model), density=0.2, steps=60, H=5, J=4, Q=3)
    with pytest.warns(UserWarning, match=r"1\.weight.*keep learning"):
        sparsifier.attach(optimizer)
