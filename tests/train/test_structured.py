"""Channels under plans that prune, grow and explore. Units are followed one by one, by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from niwaki.allocate import Global
from niwaki.core import TrainError
from niwaki.criteria import Magnitude, Random
from niwaki.methods import gmp, iee
from niwaki.moves import Drop, Event, Explore, Grow, Restore, Timeline
from niwaki.structure import shrink, weights
from niwaki.train import Plan, Sparsifier, Values, usual_values

from .channel_nets import SHAPE, narrow_resnet, outputs, residual, rows_of
from .loops import OPTIMIZERS, batch, train

NETS = {"residual": residual, "resnet": narrow_resnet}
IEE: dict[str, Any] = {"H": 4, "J": 3, "Q": 4, "explore_init": "mru_random", "grow_init": "explored"}


def some(groups, density: float = 0.6) -> dict[str, torch.Tensor]:
    """A first structure without its lowest units."""
    return {g.name: torch.arange(g.size) >= round((1 - density) * g.size) for g in groups}


def cycles(groups, *, values: Values | None = None, rate: float = 1.0, **more: Any) -> Plan:
    """Swap a third by random scores, explore, grow: two cycles of 4, 3 and 4 steps."""
    drop, grow = Drop(Magnitude(), 0.34), Grow(Random())
    events = [
        event
        for at in (0, 11)
        for event in (
            Event(at + 4, (drop,), "improve"),
            Event(at + 7, (Explore(more.get("freeze", True)),), "explore"),
            Event(at + 11, (grow,), "estimate"),
        )
    ]
    return Plan(some(groups), Timeline(tuple(events)), values or usual_values(groups), explore_rate=rate, **more)


def swaps(groups) -> Plan:
    """As RigL, but by random growth from last active values: an update of the structure replaces two of the steps."""
    swap = (Drop(Magnitude(), 0.4), Grow(Random()))
    events = tuple(Event(step, swap, "train", instead=True) for step in (5, 10))
    return Plan(some(groups), Timeline(events), Values("mru_random", "mru"))


def attached(make, plan, optimizer: str = "sgd"):
    model, groups = make()
    optim = OPTIMIZERS[optimizer](model.parameters())
    return model, groups, optim, Sparsifier(model, groups, plan(groups), seed=3).attach(optim)


@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
def test_a_weight_is_kept_only_if_both_its_channels_are(make):
    _, groups, _, sparsifier = attached(make, lambda groups: Plan(some(groups)))
    counted = 0
    for name, mask in sparsifier.masks().items():
        expected = torch.ones_like(mask)
        for dim, size in enumerate(mask.shape[:2]):
            stays = rows_of(groups, sparsifier.keep, name, dim, size)
            expected &= stays.view([-1 if axis == dim else 1 for axis in range(mask.dim())])
        assert torch.equal(mask, expected), name
        counted += int((~mask).sum())
    assert counted > 100


@pytest.mark.parametrize("plan", [cycles, swaps], ids=["cycles", "swaps"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
def test_a_removed_channel_puts_out_zeros_and_the_shrunk_model_is_the_masked_one(make, optimizer, plan):
    model, groups, optim, sparsifier = attached(make, plan, optimizer)
    x = batch(99, SHAPE)[0].double()
    seen: list[int] = []

    def look(step: int) -> None:
        if sparsifier.stage == "explore":
            return
        for mode in (True, False):
            for name, out in outputs(model, x, train=mode).items():
                if name:
                    gone = ~rows_of(groups, sparsifier.keep, f"{name}.weight", 0, out.shape[1])
                    assert not out[:, gone].any(), f"{name} in step {step}"
                    seen.append(int(gone.sum()))

    train(model, optim, range(24), SHAPE, watch=look)
    assert sum(seen) > 100 and any(record["iou"] < 1 for record in sparsifier.history if "iou" in record)
    sparsifier.detach()
    small = shrink(model, groups, sparsifier.keep)
    assert sum(p.numel() for p in small.parameters()) < 0.7 * sum(p.numel() for p in model.parameters())
    for mode in (True, False):
        torch.testing.assert_close(outputs(small, x, train=mode)[""], outputs(model, x, train=mode)[""])


@pytest.mark.parametrize("cross", [True, False])
@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
def test_exploration_moves_only_what_is_not_active(make, cross):
    model, _, optim, sparsifier = attached(make, lambda groups: cycles(groups, train_cross_slices=cross))
    train(model, optim, range(7), SHAPE)
    assert sparsifier.is_exploring
    masks, keep = sparsifier.masks(), sparsifier.keep
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    held = copy.deepcopy(sparsifier.state_dict()["held"])
    train(model, optim, range(7, 10), SHAPE)
    assert sparsifier.is_exploring
    state = sparsifier.state_dict()["held"]
    for name, parameter in model.named_parameters():
        moved = parameter.detach() != before[name]
        kept = masks.get(name, torch.ones_like(moved))
        assert not moved[kept].any(), name
        assert name not in held or torch.equal(state[name]["momentum_buffer"], held[name]["momentum_buffer"])
    for name, buffer in model.named_buffers():
        stays = rows_of(sparsifier.groups, keep, name, 0, buffer.numel()).view(buffer.shape)
        assert torch.equal(buffer[stays], buffers[name][stays]), name
        if not stays.all():
            assert (buffer[~stays] != buffers[name][~stays]).all(), name
    # conv1 of the first block: filters by inputs, in four quarters.
    name, stem = ("conv1.weight", "stem") if "stem.weight" in masks else ("layer1.0.conv1.weight", "conv1")
    rows, columns = keep[name.removesuffix(".weight")], keep[stem]
    moved = (model.get_parameter(name).detach() != before[name]).flatten(2).any(2)
    assert moved[~rows][:, ~columns].all()
    assert moved[rows][:, ~columns].any() == moved[~rows][:, columns].any() == cross


def test_a_grown_channel_keeps_the_statistics_it_gathered():
    model, groups, optim, sparsifier = attached(residual, cycles)
    inputs: list[torch.Tensor] = []
    handle = model.bn1.register_forward_pre_hook(lambda module, args: inputs.append(args[0].detach()))
    train(model, optim, range(3), SHAPE)
    group = "conv1"
    first, start = sparsifier.keep[group], {"mean": torch.zeros(5).double(), "var": torch.ones(5).double()}
    train(model, optim, range(3, 4), SHAPE)
    after = sparsifier.keep[group]
    # Channels dropped in step 4 go on from what they had then, those that never were active from zero and one.
    for name, buffer in (("mean", model.bn1.running_mean), ("var", model.bn1.running_var)):
        start[name][first & ~after] = buffer[first & ~after]
    assert (first & ~after).any() and (~first).any()
    train(model, optim, range(4, 7), SHAPE)
    frozen, n = sparsifier.keep[group], len(inputs)
    still = model.bn1.running_mean.clone()
    train(model, optim, range(7, 11), SHAPE)
    handle.remove()
    for x in inputs[n:]:
        start["mean"] = 0.9 * start["mean"] + 0.1 * x.mean((0, 2, 3))
        start["var"] = 0.9 * start["var"] + 0.1 * x.transpose(0, 1).flatten(1).var(1)
    grown = sparsifier.keep[group] & ~frozen
    assert len(inputs) == n + 4 and grown.any()
    torch.testing.assert_close(model.bn1.running_mean[grown], start["mean"][grown])
    torch.testing.assert_close(model.bn1.running_var[grown], start["var"][grown])
    assert torch.equal(model.bn1.running_mean[frozen], still[frozen])


@pytest.mark.parametrize("plan", [cycles, swaps], ids=["cycles", "swaps"])
def test_a_grown_channel_is_alive(plan):
    model, groups, optim, sparsifier = attached(narrow_resnet, plan)
    found, grown = [], {g.name: torch.zeros(g.size, dtype=torch.bool) for g in groups}
    for step in range(24):
        train(model, optim, range(step, step + 1), SHAPE)
        for group in groups[1:] if not sparsifier.is_exploring else ():
            young = grown[group.name] & sparsifier.keep[group.name]
            for where in group.slices[:2] if young.any() else ():  # the filters, and the norm's scale
                parameter = model.get_parameter(where.tensor)
                if parameter.grad is not None:  # there is none after a swap, which replaces the step
                    assert parameter.detach()[young].any()
                    found.append(bool(parameter.grad[young].any()))
        grown = sparsifier._diary.grown
    # A single one may be dead all the same: its rectifier shut on this batch.
    assert len(found) > 20 and sum(found) > 0.9 * len(found)


def back_at_zero(groups) -> Plan:
    keep = {g.name: torch.ones(g.size, dtype=torch.bool) for g in groups}
    return Plan(keep, Timeline((Event(5, (Restore(),), "dense"),)), Values(grow="zero", remembers=False))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m, g: iee(m, g, density=0.6, steps=60, H=4, J=3, Q=4, explore_init="zero", grow_init="zero"), "zeros"),
        (lambda m, g: iee(m, g, density=0.6, steps=60, **IEE | {"grow_init": "zero"}), "comes back with zeros"),
        (lambda m, g: iee(m, g, density=0.6, steps=60, **IEE | {"explore_init": "mru_zero"}), "'mru_zero'"),
        (lambda m, g: Sparsifier(m, g, back_at_zero(g)), "never gets a gradient; pass .*grow_init='explored'"),
    ],
)
def test_plans_under_which_channels_come_back_dead_are_refused(make, message):
    with pytest.raises(TrainError, match=message):
        make(*residual())


def test_from_a_trained_model_last_values_are_enough():
    model, groups = residual()
    sparsifier = iee(model, groups, density=0.6, steps=60, **IEE | {"explore_init": "mru_zero", "reach": 10})
    assert sparsifier.plan.values.explore == "mru_zero"


def test_usual_values_tell_weights_from_channels():
    model, groups = residual()
    assert usual_values(groups) == Values("mru_random", "explored")
    assert usual_values(groups, "mru_zero", "mru", carry=True) == Values("mru_zero", "mru", True)
    assert usual_values(weights(model)) == Values("zero", "zero")


METHODS: dict[str, Any] = {
    "gmp": lambda m, g: gmp(m, g, density=0.6, steps=40, every=5),
    "iee": lambda m, g: iee(m, g, density=0.6, steps=40, allocator=Global(), **IEE),
    "iee trained": lambda m, g: iee(m, g, density=0.6, steps=40, allocator=Global(), **IEE | {"reach": 10}),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
def test_methods_for_weights_serve_channels(make, method):
    model, groups = make()
    optim = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = method(model, groups).attach(optim)
    train(model, optim, range(40), SHAPE)
    assert sparsifier.density == pytest.approx(0.6, abs=0.5 / sum(g.size for g in groups) + 1e-9)
    sparsifier.detach()
    x = batch(99, SHAPE)[0].double()
    small = shrink(model, groups, sparsifier.keep)
    torch.testing.assert_close(outputs(small, x, train=False)[""], outputs(model, x, train=False)[""])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_going_on_from_any_step_is_bit_equal(optimizer):
    model, _, optim, sparsifier = attached(narrow_resnet, cycles, optimizer)
    saved = []

    def save(step: int) -> None:
        saved.append(copy.deepcopy((step, model.state_dict(), optim.state_dict(), sparsifier.state_dict())))

    train(model, optim, range(24), SHAPE, watch=save)
    expected = model.state_dict()
    for step, *states in saved[2::3]:
        again, _, optim, sparsifier = attached(narrow_resnet, cycles, optimizer)
        for thing, state in zip((again, optim, sparsifier), states, strict=True):
            thing.load_state_dict(copy.deepcopy(state))
        train(again, optim, range(step, 24), SHAPE)
        for name, value in again.state_dict().items():
            assert torch.equal(value, expected[name]), f"{name} differs after going on from step {step}"


def test_an_averaged_copy_takes_over_the_statistics_of_grown_channels():
    model, groups = residual()
    optim = OPTIMIZERS["sgd"](model.parameters())
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    sparsifier = Sparsifier(model, groups, cycles(groups), seed=3).attach(optim, ema=average)
    train(model, optim, range(10), SHAPE, watch=lambda step: average.update_parameters(model))
    before = sparsifier.keep["conv1"]
    train(model, optim, range(10, 11), SHAPE)
    grown = sparsifier.keep["conv1"] & ~before
    assert grown.any()
    for name in ("running_mean", "running_var", "weight"):
        ours, copied = getattr(model.bn1, name), getattr(average.module.bn1, name)
        assert torch.equal(ours[grown], copied[grown]) and not torch.equal(ours[before], copied[before])
