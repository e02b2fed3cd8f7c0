"""A model that is really smaller while it trains goes the way of the masked one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from niwaki.allocate import Global
from niwaki.core import TrainError
from niwaki.criteria import Gradient, Magnitude, Taylor
from niwaki.methods import gmp, iee, static
from niwaki.moves import Drop, Event, Grow, Timeline
from niwaki.structure import channels, shrink, weights
from niwaki.train import Plan, Sparsifier, Values
from niwaki.train.materialised import put

from .channel_nets import SHAPE, narrow_resnet, outputs, residual
from .loops import OPTIMIZERS, batch, net, train
from .test_straight_through import Through

STEPS = 60
IEE: dict[str, Any] = {"H": 4, "J": 3, "Q": 4, "explore_init": "mru_random", "grow_init": "explored", "alpha": 0.5}
METHODS: dict[str, Any] = {
    "iee": lambda m, g: iee(m, g, density=0.5, steps=STEPS, allocator=Global(), **IEE),
    "iee taylor": lambda m, g: iee(m, g, density=0.5, steps=STEPS, criterion=Taylor(), scope="global", **IEE),
    "iee trained": lambda m, g: iee(m, g, density=0.4, steps=STEPS, allocator=Global(), **IEE | {"reach": 12}),
    "gmp": lambda m, g: gmp(m, g, density=0.4, steps=STEPS, every=7),
    "static": lambda m, g: static(m, g, density=0.5, allocator=Global()),
    "swaps": lambda m, g: Sparsifier(m, g, swaps(g)),
}


def swaps(groups, **more: Any) -> Plan:
    keep = {g.name: torch.arange(g.size) >= 2 for g in groups}
    events = tuple(
        Event(step, (Drop(Magnitude(), 0.4), Grow(Magnitude())), "train", instead=True) for step in range(5, 50, 5)
    )
    return Plan(keep, Timeline(events), Values("mru_random", "mru"), **more)


def build(make, method: str, optimizer: str, *, materialise: bool):
    model, groups = make()
    plan = METHODS[method](model, groups).plan
    optim = OPTIMIZERS[optimizer](model.parameters())
    plan = Plan(**vars(plan) | {"materialise": materialise})
    return model, groups, optim, Sparsifier(model, groups, plan, seed=0).attach(optim)


def everything(model: nn.Module, optim, sparsifier) -> dict[str, Tensor]:
    with sparsifier.whole():
        found = {f"model {k}": v.clone() for k, v in model.state_dict().items()}
        for index, state in optim.state_dict()["state"].items():
            found |= {f"optimizer {index} {k}": torch.as_tensor(v).clone() for k, v in state.items() if v is not None}
        memory = sparsifier.state_dict()["memory"]
        return (
            found | {f"memory {k}": v for k, v in memory.items()} | {f"keep {k}": v for k, v in sparsifier.keep.items()}
        )


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        # Statistics of removed channels run to zero where they run at all. A bias before a norm has no gradient but
        # rounding, which Adam takes for one.
        if "running" not in name and "conv1.bias" not in name:
            torch.testing.assert_close(other[name], value, rtol=1e-9, atol=1e-10, msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [residual, narrow_resnet])
def test_the_way_is_that_of_the_masked_run(make, method, optimizer):
    masked = build(make, method, optimizer, materialise=False)
    small = build(make, method, optimizer, materialise=True)
    same_things = [id(p) for p in small[0].parameters()], id(small[2].param_groups[0]["params"])
    seen = []
    for step in range(0, STEPS, 6):
        for model, _, optim, _ in (masked, small):
            train(model, optim, range(step, step + 6), SHAPE)
        seen.append(sum(p.numel() for p in small[0].parameters()))
        x = batch(99, SHAPE)[0].double()
        with masked[3].pruned(), small[3].pruned():
            torch.testing.assert_close(outputs(small[0], x, train=False)[""], outputs(masked[0], x, train=False)[""])
        same(everything(*masked[:1], *masked[2:]), everything(*small[:1], *small[2:]))
    dense = sum(p.numel() for p in masked[0].parameters())
    assert min(seen) < 0.75 * dense and ("iee" not in method or max(seen) == dense)
    assert small[3].history == masked[3].history
    assert same_things == ([id(p) for p in small[0].parameters()], id(small[2].param_groups[0]["params"]))
    small[3].detach()
    cut = shrink(small[0], small[1], small[3].keep)
    torch.testing.assert_close(outputs(cut, x, train=True)[""], outputs(masked[0], x, train=True)[""])


def test_between_moves_the_model_is_the_shrunk_one():
    model, groups, optim, sparsifier = build(narrow_resnet, "iee", "adamw", materialise=True)
    train(model, optim, range(2), SHAPE)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert (model.layer1[0].conv1.out_channels, model.layer1[0].conv2.in_channels) == shapes["layer1.0.conv1.weight"][
        :1
    ] * 2
    assert all(optim.state[p]["exp_avg"].shape == p.shape for p in model.parameters())
    assert all(
        module.num_features == len(module.running_mean)
        for module in model.modules()
        if isinstance(module, nn.BatchNorm2d)
    )
    whole, fresh = narrow_resnet()
    expected = shrink(whole, fresh, sparsifier.keep)
    assert shapes == {name: tuple(p.shape) for name, p in expected.named_parameters()}
    with sparsifier.whole():
        assert {n: p.shape for n, p in model.named_parameters()} == {n: p.shape for n, p in whole.named_parameters()}
        assert model.layer1[0].conv1.out_channels == 4
    assert shapes == {name: tuple(p.shape) for name, p in model.named_parameters()}


def test_loops_that_hold_on_to_the_last_loss_and_never_drop_gradients():
    """A graph that is alive keeps the shapes of its parameters; `set_to_none=False` keeps those of the gradients."""
    model, _, optim, sparsifier = build(residual, "iee", "sgd", materialise=True)
    parameters, calls = list(model.parameters()), []
    model.conv1.weight.register_hook(lambda gradient: calls.append(tuple(gradient.shape)))
    losses, scheduler = [], torch.optim.lr_scheduler.ExponentialLR(optim, 0.99)
    for step in range(STEPS):
        x, y = batch(step, SHAPE)
        losses.append(F.cross_entropy(model(x.double()), y))
        optim.zero_grad(set_to_none=False)
        losses[-1].backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        assert all(p.grad is None or p.grad.shape == p.shape for p in parameters)
        optim.step()
        scheduler.step()
    assert len(calls) == STEPS and len(set(calls)) > 1 and (5, 6, 3, 3) in calls
    assert sparsifier.step == STEPS and torch.isfinite(losses[-1])


def test_groups_that_lose_nothing_stay_whole_objects():
    model, groups, optim, sparsifier = build(residual, "gmp", "sgd", materialise=True)
    train(model, optim, range(3), SHAPE)
    assert sparsifier.density == 1 and not sparsifier._body.small.kept
    train(model, optim, range(3, 30), SHAPE)
    assert sparsifier._body.small.kept


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_saved_whole_goes_on(optimizer):
    model, _, optim, sparsifier = build(residual, "iee", optimizer, materialise=True)
    saved = []

    def save(step: int) -> None:
        with sparsifier.whole():
            saved.append(copy.deepcopy((step, model.state_dict(), optim.state_dict(), sparsifier.state_dict())))

    train(model, optim, range(40), SHAPE, watch=save)
    expected = everything(model, optim, sparsifier)
    for step, *states in saved[2::7]:
        for materialise in (True, False):  # a run may go on the other way too
            again = build(residual, "iee", optimizer, materialise=materialise)
            for thing, state in zip((again[0], *again[2:]), states, strict=True):
                thing.load_state_dict(copy.deepcopy(state))
            train(again[0], again[2], range(step, 40), SHAPE)
            assert again[3].step == len(saved) == 40
            same(expected, everything(again[0], *again[2:]))


@pytest.mark.parametrize("method", METHODS)
def test_a_run_loaded_whole_goes_on_bit_for_bit(method):
    # Not in the first step after loading either, in which a model that is still whole would round otherwise.
    model, _, optim, sparsifier = build(residual, method, "adamw", materialise=True)
    train(model, optim, range(11), SHAPE)
    with sparsifier.whole():
        states = copy.deepcopy([model.state_dict(), optim.state_dict(), sparsifier.state_dict()])
    again = build(residual, method, "adamw", materialise=True)
    with again[3].whole():
        for thing, state in zip((again[0], *again[2:]), states, strict=True):
            thing.load_state_dict(state)
    assert (again[3]._body.small.kept == {}) == (sparsifier._body.small.kept == {})
    for one in ((model, optim), (again[0], again[2])):
        train(*one, range(11, 30), SHAPE)
    expected, found = everything(model, optim, sparsifier), everything(again[0], *again[2:])
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_saving_and_loading_a_smaller_model_is_refused():
    model, _, optim, sparsifier = build(residual, "iee", "sgd", materialise=True)
    state = sparsifier.state_dict()
    train(model, optim, range(2), SHAPE)
    for call in (sparsifier.state_dict, lambda: sparsifier.load_state_dict(state)):
        with pytest.raises(TrainError, match=r"the model is materialised: .* `with sparsifier\.whole\(\):`"):
            call()
    with sparsifier.whole():
        assert sparsifier.state_dict()["step"] == 2


def test_counts_off_the_grid_stay_masked_for_a_stage():
    model, groups = residual()
    grid = [replace(group, multiple_of=2) if group.name == "conv1" else group for group in groups]
    keep = {g.name: torch.arange(g.size) >= 2 for g in groups}
    optim = OPTIMIZERS["sgd"](model.parameters())
    Sparsifier(model, grid, Plan(keep, materialise=True)).attach(optim)
    oracle, other = residual()
    twin = OPTIMIZERS["sgd"](oracle.parameters())
    Sparsifier(oracle, other, Plan(keep)).attach(twin)
    for one, its in ((model, optim), (oracle, twin)):
        train(one, its, range(10), SHAPE)
    assert model.conv1.weight.shape == (5, 4, 3, 3) and model.bn0.num_features == 4
    torch.testing.assert_close(model.conv1.weight.detach(), oracle.conv1.weight.detach()[:, 2:])
    assert not model.conv1.weight.detach()[:2].any()


def test_put_undoes_a_cut():
    whole = torch.arange(60.0).reshape(3, 4, 5)
    axes = {0: torch.tensor([0, 2]), 2: torch.tensor([1, 2, 4])}
    small = whole[axes[0]][:, :, axes[2]]
    target = torch.zeros(3, 4, 5)
    put(target, small, axes)
    expected = whole * (torch.tensor([1, 0, 1])[:, None, None] * torch.tensor([0, 1, 1, 0, 1]))
    assert torch.equal(target, expected)


def test_channels_last_stays():
    model, groups = residual()
    model.to(memory_format=torch.channels_last)
    optim = OPTIMIZERS["sgd"](model.parameters())
    plan = METHODS["iee"](model, groups).plan
    sparsifier = Sparsifier(model, groups, Plan(**vars(plan) | {"materialise": True})).attach(optim)
    train(model, optim, range(3), SHAPE)
    assert model.conv1.weight.shape[0] < 5 and model.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    with sparsifier.whole():
        assert model.conv1.weight.is_contiguous(memory_format=torch.channels_last)
        assert optim.state[model.conv1.weight]["momentum_buffer"].shape == (5, 6, 3, 3)


def test_straight_through_gates_are_refused():
    model, groups = residual()
    keep = {g.name: torch.ones(g.size, dtype=torch.bool) for g in groups}
    timeline = Timeline((Event(2, (Through(0.4, 0),), "train"),))
    optim = OPTIMIZERS["sgd"](model.parameters())
    Sparsifier(model, groups, Plan(keep, timeline, Values("mru_random"), materialise=True)).attach(optim)
    with pytest.raises(TrainError, match="gave straight-through gates, which learn from what the whole model computes"):
        train(model, optim, range(3), SHAPE)


def test_refusals():
    model, groups = residual()
    keep = {g.name: torch.ones(g.size, dtype=torch.bool) for g in groups}
    swap = (Drop(Magnitude(), 0.3), Grow(Gradient()))
    reads = Plan(
        keep, Timeline((Event(5, swap, "train", instead=True),)), Values("mru_random", "mru"), materialise=True
    )
    with pytest.raises(TrainError, match=r"removed units have no gradient, which 'swap' in step 5 reads"):
        Sparsifier(model, groups, reads)
    layers = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    inexact = channels(layers, torch.zeros(2, 4), inexact=True)
    rows = {g.name: torch.ones(g.size, dtype=torch.bool) for g in inexact}
    with pytest.raises(TrainError, match=r"materialise=True cannot cut group '0': a norm runs over its units"):
        Sparsifier(layers, inexact, Plan(rows, materialise=True))
    single = net()
    with pytest.raises(ValueError, match="can be masked, not cut out"):
        small = weights(single)
        Sparsifier(single, small, Plan({g.name: torch.ones(g.size, dtype=torch.bool) for g in small}, materialise=True))
    average = torch.optim.swa_utils.AveragedModel(model)
    with pytest.raises(TrainError, match="ema= keeps the shapes of the whole model"):
        optim = OPTIMIZERS["sgd"](model.parameters())
        Sparsifier(model, groups, Plan(keep, materialise=True)).attach(optim, ema=average)
