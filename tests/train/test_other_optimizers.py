"""Optimizers out of the ordinary: several for one model, those that nothing can hang on."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn import functional as F

from niwaki.core import GroupError, TrainError
from niwaki.methods import iee, static
from niwaki.structure.declare import weights

from .loops import batch, net

SHORT = {"density": 0.2, "steps": 40, "H": 6, "J": 5, "Q": 7}


def test_each_optimizer_has_a_sparsifier_and_exploration_freezes_all_that_is_active():
    model = net()
    convolutions = [p for layer in (model[0], model[1], model[3], model[4]) for p in layer.parameters()]
    inner, outer = (
        torch.optim.SGD(convolutions, lr=0.05, momentum=0.9, weight_decay=1e-3),
        torch.optim.AdamW(model[8].parameters(), lr=0.01),
    )
    with pytest.warns(UserWarning, match="give their optimizer a sparsifier of its own with the same steps"):
        first = iee(model, weights(model, ignore=["8"]), **SHORT).attach(inner)
        second = iee(model, weights(model, ignore=["0", "3"]), **SHORT).attach(outer)
    active: dict[str, torch.Tensor] = {}
    seen = 0
    for step in range(40):
        x, y = batch(step)
        for optimizer in (inner, outer):
            optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for optimizer in (inner, outer):
            optimizer.step()
        assert first.stage == second.stage
        masks = first.masks() | second.masks()
        now = {n: p.detach()[masks[n]] if n in masks else p.detach().clone() for n, p in model.named_parameters()}
        if first.is_exploring and active:
            assert all(torch.equal(now[name], value) for name, value in active.items())
            seen += 1
        active = now if first.is_exploring else {}
    assert seen == 6
    for sparsifier in (first, second):
        assert sparsifier.density == pytest.approx(0.2, abs=0.01)
        assert all(not model.get_parameter(n).detach()[~mask].any() for n, mask in sparsifier.masks().items())


def test_what_an_optimizer_gets_later_stands_still_too():
    model, late = net(), nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sparsifier = iee(model, weights(model), **SHORT).attach(optimizer)
    optimizer.add_param_group({"params": late.parameters(), "lr": 0.1})
    before, still, moved = late.weight.detach().clone(), 0, 0
    for step in range(20):
        x, y = batch(step)
        optimizer.zero_grad()
        explores = sparsifier.is_exploring
        F.cross_entropy(late(model(x)), y).backward()
        optimizer.step()
        same = torch.equal(late.weight.detach(), before)
        assert same == explores
        still, moved, before = still + same, moved + (not same), late.weight.detach().clone()
    assert (still, moved) == (7, 13)


def test_what_attach_cannot_take_says_what_to_do():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    several = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (model[0], model[2])]
    sparsifier = static(model, weights(model), density=0.5)
    for wrong in (several, model):
        with pytest.raises(
            TrainError, match=rf"not a {type(wrong).__name__}; .* make one sparsifier for each optimizer"
        ):
            sparsifier.attach(wrong)
    with pytest.raises(TrainError, match=r"does not hold '2\.weight'.*; if another optimizer holds it, make one"):
        sparsifier.attach(several[0])
    model[2].weight.requires_grad_(False)
    learning = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    with pytest.raises(TrainError, match=r"'2\.weight' does not require gradients.*ignore="):
        sparsifier.attach(learning)


class Shards(torch.optim.Optimizer):
    """Keeps its momenta elsewhere, as ZeroRedundancyOptimizer does."""

    def __init__(self, parameters):
        super().__init__(parameters, {})
        self.optim = torch.optim.Adam(self.param_groups[0]["params"], lr=0.1)

    def step(self, closure=None):
        self.optim.step(closure)


def test_an_optimizer_whose_momenta_are_out_of_reach_is_refused():
    model = nn.Linear(4, 2)
    sparsifier = static(model, weights(model), density=0.5)
    with pytest.raises(TrainError, match=r"Shards keeps its state in another optimizer \('optim'\).*plain optimizer"):
        sparsifier.attach(Shards(model.parameters()))


def test_tensors_split_over_processes_are_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
        with pytest.raises(
            GroupError, match=r"'0\.weight' is split over processes \(a DTensor.*DistributedDataParallel"
        ):
            weights(model)
    finally:
        torch.distributed.destroy_process_group()


def test_an_optimizer_that_sets_its_own_rate_is_refused_where_exploration_has_one():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = None  # as Adafactor of transformers leaves it
    with pytest.raises(
        TrainError, match=r"SGD has no learning rate .* at 0\.1 of it; give it lr=, or pass explore_rate=1"
    ):
        iee(model, weights(model), **SHORT).attach(optimizer)
    iee(model, weights(model), **SHORT, explore_rate=1).attach(optimizer)
