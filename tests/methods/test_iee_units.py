"""IEE on blocks and patterns, and from a trained model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.criteria import Magnitude
from niwaki.methods import iee
from niwaki.moves.schedules import constant
from niwaki.structure.declare import blocks, n_of_m, weights

from ..train.loops import mlp, net, train


def sgd(model: nn.Module, **more: float) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, **{"momentum": 0.9, "weight_decay": 1e-3} | more)


def test_n_of_m_holds_after_every_cycle():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 8))
    groups = n_of_m(model, 2, 4)
    sparsifier = iee(model, groups, density=0.5, steps=60, H=5, J=4, Q=3)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    first = sparsifier.masks()

    def check(step: int) -> None:
        conv, linear = sparsifier.masks()["0.weight"], sparsifier.masks()["3.weight"]
        tiles = [conv.permute(0, 2, 3, 1).reshape(-1, 4).sum(1), linear.reshape(-1, 4).sum(1)]
        if sparsifier.stage in ("estimate", "train"):
            assert all(bool((tile == 2).all()) for tile in tiles)
        else:
            assert all(bool((tile <= 2).all()) for tile in tiles)

    train(model, optimizer, range(60), shape=(4, 6, 6), watch=check)
    assert any(not torch.equal(first[name], mask) for name, mask in sparsifier.masks().items())


def test_blocks_live_and_die_whole():
    model = mlp()
    sparsifier = iee(
        model, blocks(model, (4, 4)), density=0.5, steps=60, H=5, J=4, Q=3, swap=constant(0.5), explore_init="zero"
    )
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    train(model, optimizer, range(60), shape=(12,))
    for name, mask in sparsifier.masks().items():
        rows, cols = mask.shape
        tiles = mask.reshape(rows // 4, 4, cols // 4, 4).transpose(1, 2).reshape(-1, 16).sum(1)
        assert bool(((tiles == 0) | (tiles == 16)).all())
        assert not model.get_parameter(name).detach()[~mask].any()
    assert any(record["move"] == "grow" and record["iou"] < 1 for record in sparsifier.history)


def test_a_trained_model_is_pruned_down_before_the_first_cycle():
    model = net()
    sparsifier = iee(model, weights(model), density=0.1, steps=100, H=6, J=5, Q=4, reach=40)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    seen: list[float] = []
    assert sparsifier.density == 1.0
    train(model, optimizer, range(100), watch=lambda _: seen.append(sparsifier.density))
    assert seen[:40] == sorted(seen[:40], reverse=True)
    assert seen[19] == pytest.approx(0.1**0.5, abs=0.01)
    assert seen[39] == pytest.approx(0.1, abs=1e-3)
    assert seen[-1] == seen[39]


def test_starting_from_magnitude_keeps_the_largest_weights():
    model = mlp()
    before = model[2].weight.detach().abs().flatten()
    sparsifier = iee(model, weights(model), density=0.25, steps=60, H=5, J=4, Q=3, init=Magnitude())
    keep = sparsifier.keep["2.weight"]
    assert before[keep].min() >= before[~keep].max()


def test_patterns_too_can_start_dense():
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))
    sparsifier = iee(model, n_of_m(model, 2, 4), density=0.5, steps=60, H=5, J=4, Q=3, reach=10)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    assert sparsifier.density == 1.0
    train(model, optimizer, range(60), shape=(12,))
    for mask in sparsifier.masks().values():
        assert bool((mask.reshape(-1, 4).sum(1) == 2).all())
