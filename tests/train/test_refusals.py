"""What the sparsifier refuses, and that nothing has changed then."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.core import BudgetError, GroupError, SignalError, TrainError
from niwaki.criteria import Fisher
from niwaki.methods import gmp, iee, static
from niwaki.signals.score import score
from niwaki.structure import channels
from niwaki.structure.declare import weights
from niwaki.train import Plan, Sparsifier, Values, holders
from niwaki.train.stepping import gradient_hook

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


def test_a_model_that_was_moved_is_named_with_both_places():
    model = net()
    sparsifier = static(model, weights(model), density=0.5).attach(OPTIMIZERS["sgd"](model.parameters()))
    hook = gradient_hook(sparsifier, "0.weight")
    assert torch.equal(hook(torch.ones_like(model[0].weight)), sparsifier.masks()["0.weight"].float())
    with pytest.raises(TrainError, match=r"'0\.weight' is on meta and was on cpu when .* move the model first"):
        hook(torch.ones_like(model[0].weight, device="meta"))


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
    train(model, optimizer, range(2))
    assert sparsifier.step == 2


def test_two_sparsifiers_of_the_same_tensors_are_refused_until_the_first_lets_go():
    model = mlp()
    groups, optimizer = weights(model), OPTIMIZERS["sgd"](model.parameters())
    first = static(model, groups, density=0.5, steps=9).attach(optimizer)
    train(model, optimizer, range(3), (12,))
    second = static(model, groups, density=0.2, steps=9, seed=1)
    name = groups[0].name
    with pytest.raises(TrainError, match=rf"{name!r} is held by another sparsifier, at step 3 .*detach\(\) that one"):
        second.attach(optimizer)
    with pytest.raises(TrainError, match="is held by another sparsifier"):
        second.attach(OPTIMIZERS["sgd"](model.parameters()))  # the first would mask gradients for a new optimizer, too
    train(model, optimizer, range(3), (12,))
    assert (first.step, second.step) == (6, 0)
    first.detach()
    second.attach(optimizer)
    train(model, optimizer, range(3), (12,))
    assert (first.step, second.step) == (6, 3)


def test_sparsifiers_of_different_tensors_share_a_model():
    model = mlp()
    names = [group.name for group in weights(model)]
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    low = static(model, weights(model, ignore=names[1:]), density=0.1, steps=9).attach(optimizer)
    high = static(model, weights(model, ignore=names[:1]), density=0.5, steps=9).attach(optimizer)
    train(model, optimizer, range(3), (12,))
    assert low.masks().keys() | high.masks().keys() == set(names)
    for name, mask in (low.masks() | high.masks()).items():
        assert not model.get_parameter(name).detach()[~mask].any()
        assert model.get_parameter(name).detach()[mask].all()
    for one in (low, high):
        assert one.ledger.flops is not None and one.ledger.flops < 3 * one.ledger.dense_step_flops


def test_a_sparsifier_that_was_forgotten_with_its_model_holds_nothing():
    model = mlp()
    sparsifier = static(model, weights(model), density=0.5, steps=9).attach(OPTIMIZERS["sgd"](model.parameters()))
    train(model, torch.optim.SGD(model.parameters(), lr=0.1), range(1), (12,))
    held, gone = len(holders._HELD), weakref.ref(sparsifier)
    del model, sparsifier
    gc.collect()
    assert gone() is None
    assert len(holders._HELD) <= held - 3


@pytest.mark.parametrize("wrong", ["taylor", Fisher, 3], ids=["name", "class", "number"])
def test_what_is_no_criterion_or_allocator_is_refused_before_anything_runs(wrong):
    model = mlp()
    groups, seen = weights(model), getattr(wrong, "__name__", repr(wrong))
    with pytest.raises(SignalError, match=rf"criterion={seen} .* is no criterion; give an object such as niwaki\."):
        score(wrong, model, groups)
    with pytest.raises(SignalError, match=f"criterion={seen} "):
        iee(model, groups, density=0.5, steps=200, criterion=wrong)
    with pytest.raises(SignalError, match=f"init={seen} "):
        static(model, groups, density=0.5, steps=9, init=wrong)
    for method in (static, gmp):
        with pytest.raises(BudgetError, match=f"allocator={seen} .* is no allocator; give an object"):
            method(model, groups, density=0.5, steps=200, allocator=wrong)


def test_what_is_no_model_is_named():
    for make in (weights, lambda model: channels(model, torch.zeros(1, 4))):
        with pytest.raises(GroupError, match=r"a torch\.nn\.Module, and this is of type OrderedDict"):
            make(mlp().state_dict())


def test_a_model_without_values_is_refused():
    with torch.device("meta"):
        model = mlp()
    with pytest.raises(SignalError, match=r"'0\.weight' is on the meta device, where tensors have no values"):
        gmp(model, weights(model), density=0.5, steps=40, every=5)


def test_values_are_not_carried_to_where_they_are_not_used():
    with pytest.raises(TrainError, match="explore_init='zero' begins every exploration at zero; leave one of them out"):
        Values("zero", carry=True)


@pytest.mark.parametrize(
    ("given", "seen"),
    [([True, False] * 96, r"\[True, False"), (None, "none"), (torch.ones(3), r"\(3,\) torch.float32")],
)
def test_a_first_structure_that_is_no_booleans_is_refused(given, seen):
    model = mlp()
    groups = weights(model, ignore=["2", "4"])
    with pytest.raises(GroupError, match=rf"group '0\.weight' needs 192 booleans for its first structure, got {seen}"):
        Sparsifier(model, groups, Plan({} if given is None else {"0.weight": given}))
