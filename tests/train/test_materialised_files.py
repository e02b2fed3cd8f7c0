"""A model that is really smaller while it trains can be stored at every moment; nothing is cut when nothing changed."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from niwaki.allocate import Global, Uniform
from niwaki.core import cut_of
from niwaki.criteria import Magnitude
from niwaki.methods import gmp, iee, static
from niwaki.moves import Event, Timeline
from niwaki.moves.prune import Prune
from niwaki.store import load, load_training, save, save_training
from niwaki.structure import channels, shrink
from niwaki.train import Plan, Sparsifier, Values, materialised

from .channel_nets import SHAPE, narrow_resnet, residual
from .loops import OPTIMIZERS, batch, train

STEPS = 24
METHODS: dict[str, Any] = {
    "static": lambda m, g: static(m, g, density=0.5, allocator=Global()),
    "gmp": lambda m, g: gmp(m, g, density=0.4, steps=STEPS, every=7),
    "iee": lambda m, g: iee(m, g, density=0.5, steps=STEPS, allocator=Global(), H=4, J=3, Q=4),
}


def attached(model, groups, method: str) -> tuple[torch.optim.Optimizer, Sparsifier]:
    optimizer = OPTIMIZERS["adamw"](model.parameters())
    plan = Plan(**vars(METHODS[method](model, groups).plan) | {"materialise": True})
    return optimizer, Sparsifier(model, groups, plan).attach(optimizer)


def answer(model: nn.Module) -> Tensor:
    was = model.training
    with torch.no_grad():
        found: Tensor = model.eval()(batch(99, SHAPE)[0].double())
    model.train(was)
    return found


def comes_back(model: nn.Module, dense: nn.Module, folder) -> None:
    before = copy.deepcopy(model.state_dict())
    save(model, folder, overwrite=True)
    again = load(dense, folder)
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}
    assert torch.equal(answer(again), answer(model))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(("make", "method"), [*((residual, method) for method in METHODS), (narrow_resnet, "static")])
def test_a_run_can_be_stored_at_every_moment(make, method, tmp_path):
    model, groups = make()
    optimizer, sparsifier = attached(model, groups, method)
    seen, dense = set[int](), make()[0]
    for step in range(0, STEPS, 8):
        train(model, optimizer, range(step, step + 8), SHAPE)
        comes_back(model, dense, tmp_path)
        seen.add(sum(p.numel() for p in model.parameters()))
        with sparsifier.whole():
            assert not cut_of(model).kept
            comes_back(model, dense, tmp_path)
    small = copy.deepcopy(model)
    sparsifier.detach()
    assert min(seen) < sum(p.numel() for p in dense.parameters())
    for final in (model, small, shrink(model, groups, sparsifier.keep)):
        comes_back(final, dense, tmp_path)
    assert "_niwaki_cut" not in vars(model)  # nothing of ours is left on it


def test_a_model_that_was_cut_before_comes_back_from_the_first_dense_one(tmp_path):
    dense, groups = residual()
    small = shrink(dense, groups, {g.name: torch.arange(g.size) != 1 for g in groups})
    again = channels(small, torch.zeros(2, *SHAPE, dtype=torch.float64))
    optimizer, sparsifier = attached(small, again, "static")
    train(small, optimizer, range(3), SHAPE)
    assert small.conv1.weight.shape[0] < 4
    comes_back(small, dense, tmp_path)
    sparsifier.detach()
    assert small.conv1.weight.shape == (4, 5, 3, 3)
    comes_back(small, dense, tmp_path)


def test_while_nothing_is_cut_the_cut_is_worked_out_once_for_each_structure(monkeypatch):
    model, groups = residual()
    keep = {g.name: torch.ones(g.size, dtype=torch.bool) for g in groups}
    events = (
        Event(10, (Prune(Magnitude(), Uniform(), 1.0),), "train"),
        Event(20, (Prune(Magnitude(), Uniform(), 0.6),), "end"),
    )
    optimizer, calls, real = OPTIMIZERS["sgd"](model.parameters()), list[int](), materialised.cut_from

    def counted(*args):
        calls.append(sparsifier.step)
        return real(*args)

    sparsifier = Sparsifier(model, groups, Plan(keep, Timeline(events), Values(remembers=False), materialise=True))
    sparsifier.attach(optimizer)
    monkeypatch.setattr(materialised, "cut_from", counted)
    train(model, optimizer, range(30), SHAPE)
    # After the first step; after each of the two moves, of which the first one takes nothing; then it is small.
    assert calls == [1, 10, 20]
    assert model.conv1.weight.shape == (3, 4, 3, 3)  # 0.6 of 11 units: 4 of 6, 3 of 5


def test_a_structure_that_is_loaded_is_cut_at_once():
    model, groups = residual()
    optimizer, sparsifier = attached(model, groups, "gmp")
    train(model, optimizer, range(12), SHAPE)
    with sparsifier.whole():
        states = copy.deepcopy([model.state_dict(), optimizer.state_dict(), sparsifier.state_dict()])
    other, same_groups = residual()
    its, again = attached(other, same_groups, "gmp")
    train(other, its, range(2), SHAPE)  # dense so far, and known to be
    for thing, state in zip((other, its, again), states, strict=True):
        thing.load_state_dict(state)
    train(other, its, range(12, 13), SHAPE)
    assert other.conv1.weight.shape == model.conv1.weight.shape != (5, 6, 3, 3)


def test_what_a_run_costs_is_counted_from_the_whole_model_also_after_it_was_loaded_smaller(tmp_path):
    model, groups = residual()
    optimizer, sparsifier = attached(model, groups, "gmp")
    train(model.float(), optimizer, range(12), SHAPE)
    with sparsifier.whole():
        save_training(tmp_path, model=model, optimizer=optimizer, sparsifier=sparsifier)
    again, groups = residual()
    its, other = attached(again.float(), groups, "gmp")
    with other.whole():
        load_training(tmp_path, model=again, optimizer=its, sparsifier=other)
    for one, steps, which in ((model, optimizer, sparsifier), (again, its, other)):
        assert max(p.numel() for p in one.parameters()) < max(m.numel() for m in which.masks().values())
        train(one, steps, range(12, STEPS), SHAPE)
    assert other.ledger.flops == sparsifier.ledger.flops is not None
    assert other.ledger.dense_runs() == sparsifier.ledger.dense_runs()
