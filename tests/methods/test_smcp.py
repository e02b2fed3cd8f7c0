"""SMCP: targets, straight-through learning, and that the mask is taken back where it was wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.allocate import Parameters
from niwaki.core import BudgetError, GroupError, SignalError, TrainError
from niwaki.criteria import BrainDamage, Fisher, GroupFisher, Normalised, SecondTaylor
from niwaki.measure import counted
from niwaki.methods import smcp
from niwaki.signals import probe
from niwaki.structure import channels, shrink, shrink_graph

from ..train.loops import batch, train
from .widths import SIZES, limit, network, paid, staircase


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def test_no_rewiring_exceeds_its_target_and_the_last_one_stands():
    model, groups = network()
    sparsifier = smcp(model, groups, budget=limit(0.3), steps=90, every=8)
    sparsifier.attach(optimizer := sgd(model))
    seen = []
    train(model, optimizer, range(90), watch=lambda step: seen.append((step, paid(sparsifier.keep), sparsifier.stage)))
    # Ten steps dense, then rewirings at 18, 26, ..., 58 and 65, then 25 steps with what is left.
    assert [record["step"] for record in sparsifier.history] == [18, 26, 34, 42, 50, 58, 65]
    dense, most = staircase(8, 8), 0.3 * staircase(8, 8)
    for step, cost, stage in seen:
        at = max((k for k in (10, 18, 26, 34, 42, 50, 58, 65) if k <= step), default=10)
        ramp = (1 - math.exp(-0.05 * (at - 10))) / (1 - math.exp(-0.05 * 55))  # an "epoch" is one step here
        assert cost <= dense - ramp * (dense - most) + 1e-9
        assert stage == ("dense" if step < 18 else "rewire" if step < 65 else "train")
    assert sparsifier.stage == "train"


def test_what_is_masked_goes_on_learning_by_the_gradient_of_the_masked_network():
    model, groups = network()
    sparsifier = smcp(model, groups, budget=limit(0.3), steps=90, every=8, mask_decay=0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier.attach(optimizer)
    train(model, optimizer, range(51))
    gone = ~sparsifier.keep["0"]
    assert bool(gone.any())
    twin, _ = network()
    twin.load_state_dict(model.state_dict())
    twin.train()
    assert not twin[3].weight[:, gone].any()  # masked where the channels are read ...
    assert bool(twin[0].weight[gone].flatten(1).any(1).all())  # ... and computed all the same
    # One step by hand: the hidden value w moves by -lr (gradient at w = 0 of the masked network + decay * w).
    hidden = sparsifier.state_dict()["memory"]["3.weight"][:, gone]
    x, y = batch(51)
    F.cross_entropy(twin(x), y).backward()
    gradient = twin[3].weight.grad
    assert gradient is not None
    expected = hidden - 0.05 * (gradient[:, gone] + 0.01 * hidden)
    train(model, optimizer, range(51, 52))
    now = sparsifier.state_dict()["memory"]["3.weight"][:, gone]
    torch.testing.assert_close(now, expected, rtol=1e-4, atol=1e-6)
    assert not torch.equal(now, hidden)
    assert not model[3].weight.detach()[:, gone].any()


def test_a_masked_channel_may_return():
    model, groups = network()
    sparsifier = smcp(model, groups, budget=limit(0.5), steps=400, every=5, mask_decay=0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    sparsifier.attach(optimizer)
    returned, before = 0, sparsifier.keep

    def watch(step: int) -> None:
        nonlocal returned, before
        now = sparsifier.keep
        returned += sum(int((now[name] & ~before[name]).sum()) for name in SIZES)
        before = now

    train(model, optimizer, range(400), watch=watch)
    assert returned > 0


def test_what_is_left_shrinks_to_the_same_function():
    model, groups = network()
    sparsifier = smcp(model, groups, budget=limit(0.3), steps=90, every=8).attach(optimizer := sgd(model))
    train(model, optimizer, range(90))
    model.eval()
    x = batch(99)[0]
    small = shrink(model, groups, sparsifier.keep).eval()
    assert small[0].out_channels == int(sparsifier.keep["0"].sum())
    torch.testing.assert_close(small(x), model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("switches", "error", "words"),
    [
        ({"budget": limit(0.05)}, BudgetError, "cannot be met"),
        ({"steps": 10}, TrainError, "a rewiring every 8 steps between both ends needs at least 8"),
        ({"every": 0}, TrainError, "every=0 will not do; give a whole number"),
        ({"rate": 0.0}, TrainError, "rate=0.0 will not do; give a number above 0"),
    ],
)
def test_bad_arguments_are_named(switches, error, words):
    model, groups = network()
    with pytest.raises(error, match=words):
        smcp(model, groups, **({"budget": limit(0.3), "steps": 90, "every": 8} | switches))


def test_the_sparsifier_s_own_groups_cut_nothing():
    # They hold what is masked, and a model cut by them would be out of joint.
    model, example = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.zeros(1, 4)
    groups, prices = channels(model, example), counted(model, example).parameters
    trained = smcp(model, groups, budget=Parameters(0.6, prices), steps=40, every=5)
    keep = {"0": torch.arange(6) < 3}
    for cut in (shrink, partial(shrink_graph, example=example)):
        with pytest.raises(GroupError, match="group '0' holds only a part .* shrink with the groups that the method"):
            cut(model, trained.groups, keep)
        assert cut(model, groups, keep)(example).shape == (1, 2)


def test_channels_that_nothing_reads_are_refused():
    model, groups = network()
    unread = [replace(g, slices=tuple(w for w in g.slices if w.role != "in")) for g in groups]
    with pytest.raises(GroupError, match="nothing is known to read the units of group '0'"):
        smcp(model, unread, budget=limit(0.3), steps=90, every=8)


@pytest.mark.parametrize(
    "criterion", [GroupFisher(), SecondTaylor(), SecondTaylor("gate_hessian_diag"), Normalised(GroupFisher())]
)
def test_criteria_that_see_nothing_of_masked_channels_are_refused(criterion):
    # A gate multiplies the columns that read a channel: zeros while it is masked, and so is all that the gate does.
    model, groups = network()
    measure = probe([batch(0)], F.cross_entropy, tensors=groups, generator=torch.Generator().manual_seed(0))
    kind = min(criterion.needs - {"weight", "grad"})
    words = f"{type(criterion).__name__} reads {kind!r}, .* never return; take Taylor.., Fisher.. or another"
    with pytest.raises(SignalError, match=words):
        smcp(model, groups, budget=limit(0.3), steps=90, every=8, criterion=criterion, probe=measure)


@pytest.mark.parametrize("criterion", [Fisher(), BrainDamage(), SecondTaylor("grad_sq")])
def test_criteria_that_see_masked_weights_one_by_one_score_masked_channels(criterion):
    model, groups = network()
    seen = []

    class Watched:
        needs = criterion.needs

        def __call__(self, group, signals):
            scores = criterion(group, signals)
            seen.append(scores[~sparsifier.keep[group.name]])
            return scores

    measure = probe([batch(0)], F.cross_entropy)
    sparsifier = smcp(model, groups, budget=limit(0.3), steps=90, every=8, criterion=Watched(), probe=measure)
    sparsifier.attach(optimizer := sgd(model))
    train(model, optimizer, range(65))
    masked = torch.cat(seen)
    assert len(masked) > 10
    assert bool((masked > 0).all())


def test_a_name_is_no_criterion():
    model, groups = network()
    with pytest.raises(SignalError, match="criterion='taylor' .* is no criterion"):
        smcp(model, groups, budget=limit(0.3), steps=90, every=8, criterion="taylor")
