"""Straight-through gates against a plain loop in which ``w = hidden * mask`` is written out."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from niwaki.core import Gates, GroupError, TrainError
from niwaki.criteria import Magnitude
from niwaki.methods import gmp
from niwaki.moves import Event, Grow, Timeline
from niwaki.structure import shrink, weights
from niwaki.train import Plan, Sparsifier, Values, readers

from .channel_nets import SHAPE, narrow_resnet, outputs, residual
from .loops import OPTIMIZERS, batch, momentum, net, train

MOVES = {4: 0.5, 9: 0.7, 14: 0.4}


@dataclass(frozen=True)
class Through:
    """Some units straight-through: a random share, others every time. ``hard`` removes those below it for good."""

    share: float
    seed: int
    hard: float = 0.0
    name: str = "prune"
    explores: bool = False
    criteria: tuple[Any, ...] = ()

    def __call__(self, gates, context):
        found = {}
        for group in context.groups:
            place = torch.rand(group.size, generator=torch.Generator().manual_seed(self.seed + group.size))
            found[group.name] = Gates(place >= self.share, place >= self.hard)
        return found


def plan(groups, decay: float = 0.0, moves=MOVES, hard: float = 0.0, **values: Any) -> Plan:
    everything = {g.name: torch.ones(g.size, dtype=torch.bool) for g in groups}
    events = tuple(Event(step, (Through(share, step, hard),), "train") for step, share in moves.items())
    return Plan(everything, Timeline(events), Values("mru_random", **values), straight_through_decay=decay)


def shapes(groups, keep: dict[str, Tensor]) -> dict[str, Tensor]:
    return {g.name: keep[g.name].reshape(g.slices[0].shape) for g in groups}


def by_hand(
    model: nn.Module, optimizer, groups, masks_at, *, steps: int, decay: float, clip: float | None
) -> dict[str, Tensor]:
    """The model's parameters are the hidden values; what runs is their product with the masks."""
    masks = {g.name: torch.ones(g.slices[0].shape, dtype=torch.bool) for g in groups}
    hidden = dict(model.named_parameters())
    model.train()
    for step in range(steps):
        acting = {n: (p.detach() * masks[n] if n in masks else p.detach()).requires_grad_() for n, p in hidden.items()}
        x, y = batch(step)
        loss = F.cross_entropy(functional_call(model, acting, (x,)), y)
        for parameter, gradient in zip(hidden.values(), torch.autograd.grad(loss, list(acting.values())), strict=True):
            parameter.grad = gradient
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        for name, mask in masks.items():
            hidden[name].grad.add_(hidden[name].detach() * ~mask, alpha=decay)
        optimizer.step()
        masks = masks_at.get(step + 1, masks)
    return {name: parameter.detach() for name, parameter in hidden.items()}


def hidden_values(model: nn.Module, sparsifier: Sparsifier) -> dict[str, Tensor]:
    memory, masks = sparsifier.state_dict()["memory"], sparsifier.masks()
    return {
        n: torch.where(masks[n], p.detach(), memory[n]) if n in masks else p.detach()
        for n, p in model.named_parameters()
    }


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("name", ["sgd", "adamw", "adagrad"])
def test_hidden_values_learn_as_in_the_loop_by_hand(name, decay, clip):
    ours, oracle = net(), net()
    groups = weights(ours)
    optimizer = OPTIMIZERS[name](ours.parameters())
    sparsifier = Sparsifier(ours, groups, plan(groups, decay)).attach(optimizer)
    masks_at: dict[int, dict[str, Tensor]] = {}
    for step in range(20):
        x, y = batch(step)
        ours.train()
        optimizer.zero_grad()
        F.cross_entropy(ours(x), y).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(ours.parameters(), clip)
        optimizer.step()
        masks_at[step + 1] = shapes(groups, sparsifier.keep)
        assert all(not ours.get_parameter(n).detach()[~mask].any() for n, mask in sparsifier.masks().items())
    expected = by_hand(
        oracle, OPTIMIZERS[name](oracle.parameters()), groups, masks_at, steps=20, decay=decay, clip=clip
    )
    for key, value in hidden_values(ours, sparsifier).items():
        assert torch.equal(value, expected[key]), key
    assert sparsifier.density == pytest.approx(0.6, abs=0.1)
    assert torch.equal(ours.state_dict()["1.running_mean"], oracle.state_dict()["1.running_mean"])


def test_under_a_gradient_scaler_too():
    results = []
    for scale in (1.0, 1024.0):
        model = net()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        groups = weights(model)
        sparsifier = Sparsifier(model, groups, plan(groups, 0.05)).attach(optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        for step in range(20):
            x, y = batch(step)
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y) * (float("inf") if step == 7 else 1.0)).backward()
            scaler.step(optimizer)
            scaler.update()
        assert sparsifier.step == 19
        results.append(hidden_values(model, sparsifier))
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-5, atol=1e-7)


def test_what_comes_back_has_its_hidden_value_and_its_optimizer_state():
    model = net()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    groups = weights(model)
    sparsifier = Sparsifier(model, groups, plan(groups, moves={4: 0.5, 9: 0.2})).attach(optimizer)
    average = torch.optim.swa_utils.AveragedModel(model)
    sparsifier.detach()
    sparsifier = Sparsifier(model, groups, plan(groups, moves={4: 0.5, 9: 0.2})).attach(optimizer, ema=average)
    train(model, optimizer, range(8))
    hidden, away = hidden_values(model, sparsifier)["0.weight"], ~sparsifier.masks()["0.weight"]
    before = momentum(optimizer, model[0].weight).clone()
    assert away.sum() > 50 and before[away].all() and hidden[away].all()
    train(model, optimizer, range(8, 9))
    back = away & sparsifier.masks()["0.weight"]
    assert back.any() and model[0].weight.detach()[back].all() and momentum(optimizer, model[0].weight)[back].all()
    assert torch.equal(average.module[0].weight[back], model[0].weight[back])
    assert not average.module[0].weight[~sparsifier.masks()["0.weight"]].any()
    sparsifier.detach()
    assert torch.equal(model[0].weight.detach() != 0, sparsifier.masks()["0.weight"])


def test_removed_ones_learn_nothing_beside_straight_through_ones():
    model = net()
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    groups = weights(model)
    sparsifier = Sparsifier(model, groups, plan(groups, moves={4: 0.7}, hard=0.3)).attach(optimizer)
    train(model, optimizer, range(4))
    start, gates = hidden_values(model, sparsifier)["0.weight"], sparsifier._gates["0.weight"]
    train(model, optimizer, range(4, 10))
    moved = (hidden_values(model, sparsifier)["0.weight"] != start).flatten()
    assert torch.equal(moved, gates.train) and gates.train.sum() > gates.forward.sum()
    assert torch.equal(optimizer.state[model[0].weight]["exp_avg"].flatten() != 0, gates.train)


@pytest.mark.parametrize("optimizer_type", ["sgd", "adamw"])
def test_going_on_from_any_step_is_bit_equal(optimizer_type):
    def build():
        model = net()
        optimizer = OPTIMIZERS[optimizer_type](model.parameters())
        groups = weights(model)
        return model, optimizer, Sparsifier(model, groups, plan(groups, 0.01, hard=0.1)).attach(optimizer)

    things, saved = build(), []
    train(
        things[0],
        things[1],
        range(20),
        watch=lambda step: saved.append(copy.deepcopy([t.state_dict() for t in things])),
    )
    for step in range(2, 20, 4):
        again = build()
        for thing, state in zip(again, saved[step - 1], strict=True):
            thing.load_state_dict(copy.deepcopy(state))
        train(again[0], again[1], range(step, 20))
        for name, value in hidden_values(again[0], again[2]).items():
            assert torch.equal(value, hidden_values(things[0], things[2])[name]), f"{name} from step {step}"


@pytest.mark.parametrize("make", [residual, narrow_resnet])
def test_channels_are_masked_where_they_are_read(make):
    model, groups = make()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = Sparsifier(model, readers(groups), plan(groups, moves={4: 0.4})).attach(optimizer)
    train(model, optimizer, range(4), SHAPE)
    start = hidden_values(model, sparsifier)
    train(model, optimizer, range(4, 8), SHAPE)
    assert sparsifier.masks()
    for name, mask in sparsifier.masks().items():
        if not mask.all():
            moved = hidden_values(model, sparsifier)[name] != start[name]
            assert moved[~mask].float().mean() > 0.5, name
    sparsifier.detach()
    small, x = shrink(model, groups, sparsifier.keep), batch(99, SHAPE)[0].double()
    for mode in (True, False):
        torch.testing.assert_close(outputs(small, x, train=mode)[""], outputs(model, x, train=mode)[""])


def test_a_step_costs_two_sparse_passes_and_one_dense():
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))
    groups, dense = weights(model), 2 * 8 * (12 * 16 + 16 * 4)
    optimizer = OPTIMIZERS["plain"](model.parameters())
    sparsifier = Sparsifier(model, groups, plan(groups, moves={1: 0.5}), example=torch.zeros(8, 12)).attach(optimizer)
    train(model, optimizer, range(5), shape=(12,))
    sparse = 2 * 8 * sum(int(keep.sum()) for keep in sparsifier.keep.values())
    assert sparsifier.ledger.flops == pytest.approx(3 * dense + 4 * (2 * sparse + dense))


def test_refusals():
    model = net()
    groups = weights(model)
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    Sparsifier(model, groups, plan(groups, moves={2: 0.5}, remembers=False)).attach(optimizer)
    with pytest.raises(TrainError, match=r"'prune' gave straight-through gates, whose hidden values need Values\(rem"):
        train(model, optimizer, range(3))
    with pytest.raises(GroupError, match=r"nothing is known to read the units of group '0\.weight'"):
        readers(groups)


def test_readers_may_come_back_from_zero():
    model, groups = residual()
    half = {g.name: torch.arange(g.size) > 1 for g in groups}
    timeline = Timeline((Event(3, (Grow(Magnitude()),), "train"),))
    assert Sparsifier(model, readers(groups), Plan(half, timeline)).density < 1
    with pytest.raises(TrainError, match="never gets a gradient"):
        Sparsifier(model, groups, Plan(half, timeline))
    assert gmp(model, readers(groups), density=0.5, steps=20, every=5).density == 1
