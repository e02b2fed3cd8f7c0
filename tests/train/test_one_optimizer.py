"""What may happen around one optimizer: classes of the user's own, updates that raise, several sparsifiers."""

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import niwaki as nw
from niwaki.core import SignalError, TrainError
from tests.train.loops import OPTIMIZERS, batch, mlp, train

CYCLE: dict[str, Any] = {"density": 0.3, "steps": 40, "H": 4, "J": 3, "Q": 3}
SWITCHES: dict[str, dict[str, Any]] = {"iee": CYCLE, "rigl": {"density": 0.3, "steps": 40, "every": 5}}
SHAPE = (12,)


class Own(torch.optim.SGD):
    """A class of a user's: torch wraps its step, and its parent's."""

    def step(self, closure=None):
        return super().step(closure)


def _run(kind, method, *, closure):
    model = mlp()
    optimizer = kind(model.parameters(), lr=0.05, momentum=0.9)
    sparsifier = getattr(nw, method)(model, nw.weights(model), **SWITCHES[method]).attach(optimizer)
    for step in range(40):
        x, y = batch(step, SHAPE)

        def loss(x=x, y=y):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x), y)
            value.backward()
            return value

        if closure:
            optimizer.step(loss)
        else:
            loss()
            optimizer.step()
    return model, optimizer, sparsifier


@pytest.mark.parametrize("closure", [False, True])
@pytest.mark.parametrize("method", ["iee", "rigl"])
def test_a_class_that_calls_its_parents_step_takes_one_step_at_a_time(method, closure):
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)  # from here on the parent's step runs hooks too
    (expected, _, alone), (model, optimizer, sparsifier) = (
        _run(kind, method, closure=closure) for kind in (torch.optim.SGD, Own)
    )
    assert sparsifier.step == alone.step == 40
    assert sparsifier.history == alone.history
    assert [group["lr"] for group in optimizer.param_groups] == [0.05]
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("kind", [torch.optim.SGD, Own])
def test_an_update_that_raises_leaves_no_scaled_learning_rate(kind):
    model = mlp()
    optimizer = kind(model.parameters(), lr=0.1)
    sparsifier = nw.iee(model, nw.weights(model), **CYCLE, explore_rate=0.1).attach(optimizer)
    train(model, optimizer, range(8), SHAPE)
    assert sparsifier.stage == "explore"

    def stop(*_):
        raise MemoryError

    hook = optimizer.register_step_pre_hook(stop)
    with pytest.raises(MemoryError):
        train(model, optimizer, range(8, 9), SHAPE)
    hook.remove()
    assert optimizer.state_dict()["param_groups"][0]["lr"] == 0.1
    train(model, optimizer, range(8, 9), SHAPE)
    assert sparsifier.step == 9 and optimizer.param_groups[0]["lr"] == 0.1
    hook = optimizer.register_step_pre_hook(stop)
    with pytest.raises(MemoryError):
        train(model, optimizer, range(9, 10), SHAPE)
    sparsifier.detach()
    assert optimizer.param_groups[0]["lr"] == 0.1


def _pair():
    model = mlp()
    one, two = nw.weights(model, ignore=["2", "4"]), nw.weights(model, ignore=["0"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsifiers = [nw.iee(model, groups, **CYCLE, explore_rate=0.5).attach(optimizer) for groups in (one, two)]
    return model, optimizer, sparsifiers


def test_two_that_explore_at_once_both_learn_at_their_rate_and_the_rest_stands_still():
    model, optimizer, (one, two) = _pair()
    rates, update = [], optimizer.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    train(model, optimizer, range(7), SHAPE)
    assert one.is_exploring and two.is_exploring
    biases = [model[i].bias.detach().clone() for i in (0, 2, 4)]
    train(model, optimizer, range(7, 9), SHAPE)
    update.remove()
    assert rates == [0.1] * 7 + [0.05] * 2
    assert optimizer.param_groups[0]["lr"] == 0.1
    for layer, sparsifier in ((0, one), (2, two), (4, two)):
        weight, mask = model[layer].weight.detach(), sparsifier.masks()[f"{layer}.weight"]
        assert int((weight[~mask] != 0).sum()) > 0.25 * int((~mask).sum())  # behind dead units nothing learns
    for layer, bias in zip((0, 2, 4), biases, strict=True):
        assert torch.equal(model[layer].bias, bias)


def test_two_on_one_optimizer_grow_by_their_gradients():
    model, optimizer, sparsifiers = _pair()
    train(model, optimizer, range(9), SHAPE)
    before = [one.keep for one in sparsifiers]
    train(model, optimizer, range(9, 10), SHAPE)
    for one, was in zip(sparsifiers, before, strict=True):
        name = one.groups[0].name
        grown = (one.keep[name] & ~was[name]).nonzero().flatten()
        first_free = (~was[name]).nonzero().flatten()[: len(grown)]
        assert len(grown) > 3
        assert not torch.equal(grown, first_free)  # what ties ends in the order of the indices


@pytest.mark.parametrize("first", ["iee", "rigl"])
def test_an_update_in_place_of_a_step_is_heard_by_those_that_come_later(first):
    # RigL's update of step 8 takes the place of the optimizer's, while IEE listens to explored weights.
    model = mlp()
    one, two = nw.weights(model, ignore=["2", "4"]), nw.weights(model, ignore=["0"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    heard = []

    class Listening(nw.Taylor):
        def __call__(self, group, signals):
            heard.append(bool(signals.of("grad", group.name).any()))
            return super().__call__(group, signals)

    made = {
        "iee": lambda: nw.iee(model, one, **CYCLE, criterion=Listening()),
        "rigl": lambda: nw.rigl(model, two, density=0.3, steps=40, every=8),
    }
    for name in (first, "rigl" if first == "iee" else "iee"):
        made[name]().attach(optimizer)
    train(model, optimizer, range(10), SHAPE)
    assert heard and all(heard)


def test_a_sparsifier_is_neither_copied_nor_pickled():
    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = nw.static(model, nw.weights(model), density=0.5).attach(optimizer)
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TrainError, match="cannot be copied or pickled; build one anew"):
            copied(sparsifier)
    copy.deepcopy((model, optimizer))


def test_what_hung_on_an_optimizer_goes_with_it():
    model = mlp()

    def phase():
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        sparsifier = nw.static(model, nw.weights(model), density=0.5).attach(optimizer)
        train(model, optimizer, range(3), SHAPE)
        return weakref.ref(sparsifier)

    reference = phase()
    gc.collect()
    assert reference() is None
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    second = nw.gmp(model, nw.weights(model), density=0.1, steps=20, every=5).attach(optimizer)
    train(model, optimizer, range(20), SHAPE)
    assert second.density == round(0.1 * 512) / 512


def test_a_gradient_that_is_no_number_is_found_in_what_no_group_holds():
    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    nw.static(model, nw.weights(model, ignore=["2", "4"]), density=0.5).attach(optimizer)
    train(model, optimizer, range(2), SHAPE)
    before = [p.detach().clone() for p in model.parameters()]
    x, y = batch(2, SHAPE)
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    model[4].bias.grad[1] = float("nan")
    with pytest.raises(SignalError, match=r"the gradient of '4.bias' is not finite in step 3; nothing was changed"):
        optimizer.step()
    for value, parameter in zip(before, model.parameters(), strict=True):
        assert torch.equal(value, parameter)
