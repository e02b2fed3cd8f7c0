"""RigL against the gradient computed by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from niwaki.methods import rigl
from niwaki.structure.declare import weights

from ..train.loops import batch, net, train


def sgd(model: nn.Module, **more: float) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, **{"momentum": 0.9, "weight_decay": 1e-3} | more)


def test_rigl_grows_by_the_gradient_in_place_of_an_update():
    model = net()
    optimizer = sgd(model)
    sparsifier = rigl(model, weights(model), density=0.2, steps=40, every=10).attach(optimizer)
    train(model, optimizer, range(9))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    masks = sparsifier.masks()
    train(model, optimizer, range(9, 10))
    grown = {name: mask & ~masks[name] for name, mask in sparsifier.masks().items()}
    assert sum(int(mask.sum()) for mask in grown.values()) > 0
    for name, parameter in model.named_parameters():
        kept = sparsifier.masks()[name] & masks[name] if name in masks else torch.ones_like(parameter, dtype=torch.bool)
        assert torch.equal(parameter.detach()[kept], before[name][kept])
    oracle = net()
    oracle.load_state_dict(before)
    x, y = batch(9)
    F.cross_entropy(oracle.train()(x), y).backward()
    gradient = oracle[3].weight.grad.abs()
    candidates = ~(sparsifier.masks()["3.weight"] & ~grown["3.weight"])
    assert gradient[grown["3.weight"]].min() >= gradient[candidates & ~grown["3.weight"]].max()
