"""Detached and attached again, averaged copies, and states that come from elsewhere."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import niwaki as nw
from niwaki.core import TrainError
from tests.train.loops import OPTIMIZERS, mlp, train

CYCLE: dict[str, Any] = {"density": 0.3, "steps": 40, "H": 4, "J": 3, "Q": 3}
SHAPE = (12,)


def _channels(steps: int = 0, again: int | None = None):
    """An IEE run over channels, let go of and taken up again after so many steps."""
    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = nw.iee(model, nw.channels(model, torch.zeros(1, 12)), **CYCLE).attach(optimizer)
    for step in range(steps):
        if step == again:
            sparsifier.detach()
            sparsifier.attach(optimizer)
        train(model, optimizer, range(step, step + 1), SHAPE)
    return model, sparsifier


@pytest.mark.parametrize("step", [0, 2, 5])
def test_attached_again_it_goes_on_with_what_it_remembers(step):
    # Outside an exploration nothing is lost on the way.
    (model, one), (other, two) = _channels(30), _channels(30, again=step)
    assert one.history == two.history
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_exploration_begins_anew():
    model, sparsifier = _channels(9, again=8)
    assert sparsifier.is_exploring and sparsifier.stage == "explore"
    assert all(bool((model[layer].weight.abs().sum(1) > 0).all()) for layer in (0, 2))  # removed channels explore
    _, sparsifier = _channels(40, again=8)
    assert sparsifier.density == pytest.approx(0.3, abs=0.02)


def test_other_weights_are_remembered_anew():
    model, sparsifier = _channels(5)
    sparsifier.detach()
    model.load_state_dict(mlp(seed=7).state_dict())
    expected = mlp(seed=7)[0].weight.detach()
    sparsifier.attach(OPTIMIZERS["sgd"](model.parameters()))
    assert torch.equal(sparsifier._body.memory["0.weight"], expected)


def _twins(seeds):
    nets = [mlp(), mlp()]
    optimizer = torch.optim.Adam([p for one in nets for p in one.parameters()], lr=0.01)
    made = [nw.static(one, nw.weights(one), density=0.3, seed=s) for one, s in zip(nets, seeds, strict=True)]
    return nets, optimizer, made


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_twins_under_one_optimizer_get_their_own_states(order):
    nets, optimizer, ones = _twins((0, 1))
    for one in ones:
        one.attach(optimizer)
    for net in nets:
        train(net, optimizer, range(3), SHAPE)
    again, its_optimizer, others = _twins((2, 3))
    for place in order:
        others[place].attach(its_optimizer)
    for net, old in zip(again, nets, strict=True):
        net.load_state_dict(old.state_dict())
    its_optimizer.load_state_dict(optimizer.state_dict())
    for one, other in zip(ones, others, strict=True):
        assert all(torch.equal(mask, other.masks()[name]) for name, mask in one.masks().items())


def test_states_of_twins_that_lie_elsewhere_are_not_guessed():
    nets, optimizer, ones = _twins((0, 1))
    for one in ones:
        one.attach(optimizer)
    for net in nets:
        train(net, optimizer, range(1), SHAPE)
    again, _, (other, _) = _twins((2, 3))
    mixed = torch.optim.Adam([p for pair in zip(*(n.parameters() for n in again), strict=True) for p in pair], lr=0.01)
    other.attach(mixed)
    with pytest.raises(TrainError, match="2 sparsifiers of these very sizes aboard, and none lies where this one does"):
        mixed.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("method", ["iee", "rigl", "static", "sparse_evolution"])
def test_a_state_of_another_density_is_refused(method):
    more = CYCLE if method == "iee" else {"steps": 40} if method == "static" else {"steps": 40, "every": 5}

    def run(density):
        model = mlp()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        made = getattr(nw, method)(model, nw.weights(model), **{**more, "density": density}).attach(optimizer)
        train(model, optimizer, range(12), SHAPE)
        return made

    with pytest.raises(TrainError, match="saved under another plan"):
        run(0.6).load_state_dict(run(0.3).state_dict())


def _averaged(model):
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))


def test_an_averaged_copy_can_be_seen_as_delivered_while_it_explores():
    model = mlp()
    optimizer, copy = OPTIMIZERS["sgd"](model.parameters()), _averaged(model)
    sparsifier = nw.iee(model, nw.weights(model), **CYCLE).attach(optimizer, ema=copy)
    train(model, optimizer, range(9), SHAPE, lambda _: copy.update_parameters(model))
    assert sparsifier.is_exploring

    def ghosts():
        masks = sparsifier.masks().items()
        return sum(int((copy.module.get_parameter(name)[~mask] != 0).sum()) for name, mask in masks)

    before = {name: p.detach().clone() for name, p in copy.named_parameters()}
    assert ghosts() > 0
    with sparsifier.pruned():
        assert ghosts() == 0
    assert all(torch.equal(p, before[name]) for name, p in copy.named_parameters())
    train(model, optimizer, range(9, 10), SHAPE)
    assert ghosts() == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_averaged_copy_that_was_loaded_too_early_is_named(when):
    def run():
        model = mlp()
        optimizer, copy = OPTIMIZERS["sgd"](model.parameters()), _averaged(model)
        return model, optimizer, copy, nw.rigl(model, nw.weights(model), density=0.3, steps=40, every=3)

    model, optimizer, copy, sparsifier = run()
    sparsifier.attach(optimizer, ema=copy)
    train(model, optimizer, range(12), SHAPE, lambda _: copy.update_parameters(model))
    again, its_optimizer, its_copy, its_sparsifier = run()
    if when == "before":
        its_copy.load_state_dict(copy.state_dict())
    its_sparsifier.attach(its_optimizer, ema=its_copy)
    again.load_state_dict(model.state_dict())
    its_optimizer.load_state_dict(optimizer.state_dict())
    if when == "before":
        with pytest.raises(TrainError, match="Load the averaged copy after attach"):
            train(again, its_optimizer, range(12, 13), SHAPE)
        return
    its_copy.load_state_dict(copy.state_dict())
    train(again, its_optimizer, range(12, 13), SHAPE)
    assert all(torch.equal(p, q) for p, q in zip(copy.parameters(), its_copy.parameters(), strict=True))


def test_a_copy_elsewhere_gets_its_values_there():
    # The other device has no values; what is written to it must still be of it.
    model = mlp()
    optimizer, copy = OPTIMIZERS["sgd"](model.parameters()), _averaged(model)
    sparsifier = nw.rigl(model, nw.weights(model), density=0.3, steps=40, every=3).attach(optimizer, ema=copy)
    sparsifier._body.copy = {name: tensor.to("meta") for name, tensor in sparsifier._body.copy.items()}
    sparsifier._body.begun = {}
    train(model, optimizer, range(4), SHAPE)
    assert sparsifier.step == 4


FRESH: dict[str, Any] = {
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01, initial_accumulator_value=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
}


@pytest.mark.parametrize("name", FRESH)
def test_what_comes_back_has_the_state_of_a_new_weight(name):
    def fresh():
        layer = nn.Linear(12, 16)
        optimizer = FRESH[name](layer.parameters())
        layer(torch.zeros(1, 12)).sum().backward()  # no gradient reaches the weights, so that the state is at its start
        optimizer.step()
        return {key: v for key, v in optimizer.state[layer.weight].items() if v.shape == layer.weight.shape}

    model = mlp()
    optimizer = FRESH[name](model.parameters())
    sparsifier = nw.rigl(model, nw.weights(model), density=0.3, steps=40, every=4).attach(optimizer)
    train(model, optimizer, range(3), SHAPE)
    before = sparsifier.masks()["0.weight"]
    train(model, optimizer, range(3, 4), SHAPE)
    grown = sparsifier.masks()["0.weight"] & ~before
    assert int(grown.sum()) > 3
    for key, start in fresh().items():
        expected = start.flatten()[0] if key != "prev" else torch.tensor(0.0)
        assert bool((optimizer.state[model[0].weight][key][grown] == expected).all()), key


def test_noise_may_stand_beside_gradients():
    class Shaken(nw.Taylor):
        needs = frozenset({"weight", "grad", "noise"})

        def __call__(self, group, signals):
            return super().__call__(group, signals) + 1e-6 * signals.of("noise", group.name).flatten()

    model = mlp()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = nw.iee(model, nw.weights(model), **CYCLE, criterion=Shaken()).attach(optimizer)
    train(model, optimizer, range(40), SHAPE)
    assert sparsifier.step == 40


def test_long_windows_of_half_precision_are_summed_in_full():
    class One:
        needs = frozenset({"weight", "grad"})

        def __call__(self, group, signals):
            return torch.ones(group.size, dtype=torch.bfloat16)

    model = mlp()
    optimizer = OPTIMIZERS["plain"](model.parameters())
    sparsifier = nw.iee(
        model, nw.weights(model), density=0.3, steps=1400, H=600, J=10, Q=10, criterion=One()
    ).attach(optimizer)  # fmt: skip
    train(model, optimizer, range(590), SHAPE)
    heard = sparsifier._listener
    assert heard.heard == 590 and all(float(total.max()) == 590 for total in heard.sums.values())


def test_a_probe_that_draws_goes_on_drawing_where_it_stood():
    def run(upto, state=None):
        model = mlp()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        batches = [(torch.randn(8, 12, generator=torch.Generator().manual_seed(9)), torch.arange(8) % 4)]
        probe = nw.probe(batches, F.cross_entropy, generator=torch.Generator().manual_seed(3))
        sparsifier = nw.iee(
            model, nw.weights(model), **CYCLE, criterion=nw.BrainDamage("hessian_diag"), probe=probe
        ).attach(optimizer)  # fmt: skip
        begin = 0
        if state is not None:
            model.load_state_dict(state[0])
            optimizer.load_state_dict(state[1])
            begin = sparsifier.step
        train(model, optimizer, range(begin, upto), SHAPE)
        return model, optimizer, sparsifier

    whole, _, _ = run(40)
    model, optimizer, _ = run(15)
    resumed, _, _ = run(40, (model.state_dict(), optimizer.state_dict()))
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_probe_measures_what_is_explored_when_it_is_to_grow():
    model = mlp()
    optimizer, groups = OPTIMIZERS["sgd"](model.parameters()), nw.channels(model, torch.zeros(1, 12))
    batches = [(torch.randn(32, 12, generator=torch.Generator().manual_seed(9)), torch.arange(32) % 4)]
    seen = {}

    class Watched(nw.GroupFisher):
        def __call__(self, group, signals):
            seen[group.name] = super().__call__(group, signals)
            return seen[group.name]

    probe = nw.probe(batches, F.cross_entropy, tensors=groups)
    sparsifier = nw.iee(model, groups, **CYCLE, criterion=Watched(), probe=probe).attach(optimizer)
    train(model, optimizer, range(9), SHAPE)
    removed = {name: ~keep for name, keep in sparsifier.keep.items()}
    train(model, optimizer, range(9, 10), SHAPE)
    for name, mask in removed.items():
        assert len(seen[name][mask].unique()) > 2
