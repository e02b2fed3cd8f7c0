"""What cannot be made really smaller while it trains is refused before anything changes, or in the very step."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import niwaki as nw
from niwaki.core import TrainError
from niwaki.train import Plan, Sparsifier
from tests.structure.graph_nets import Flat

from .channel_nets import SHAPE, residual
from .loops import OPTIMIZERS, batch, train


def half(groups) -> dict[str, torch.Tensor]:
    return {g.name: torch.arange(g.size) >= g.size // 2 for g in groups}


def test_a_group_whose_size_stands_in_the_code():
    """`Flat` reshapes to a number written into its forward pass: only a graph made of it can lose channels."""
    model, x = Flat().eval(), torch.zeros(1, 3, 8, 8)
    groups = nw.channels(model, x, graph=True)
    assert any(group.needs_graph for group in groups)
    with pytest.raises(TrainError, match="cannot cut group 'first': the model's own code fixes its size.*leave mat"):
        Sparsifier(model, groups, Plan(half(groups), materialise=True))
    masked = Sparsifier(model, groups, Plan(half(groups))).attach(torch.optim.SGD(model.parameters(), lr=0.1))
    assert masked.density == 0.5  # masks need no other size


def test_heads_of_torch_s_own_attention():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.last(self.attention(x, x, x, need_weights=False)[0].mean(1))
            return found

    model, x = Net(), torch.randn(2, 5, 8)
    groups = nw.heads(model, x)
    with pytest.raises(TrainError, match=r"cannot cut 'attention\.\w+' of an nn\.MultiheadAttention; leave it out"):
        nw.static(model, groups, density=0.5, materialise=True)
    assert nw.static(model, groups, density=0.5).density == 0.5


def test_several_processes(monkeypatch):
    """They add up gradients, whose shapes would change under them."""
    model, groups = residual()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda *_: 2)
    sparsifier = Sparsifier(model, groups, Plan(half(groups), materialise=True))
    with pytest.raises(TrainError, match="changes the shapes .* but several processes share the gradients; leave it"):
        sparsifier.attach(OPTIMIZERS["sgd"](model.parameters()))
    assert model.stem.weight.shape == (6, 3, 3, 3)


def test_a_model_in_distributed_data_parallel(tmp_path):
    """Also with one process: it holds the gradients in buffers of their first shapes."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'met'}", rank=0, world_size=1)
    try:
        model, groups = residual()
        wrapped = nn.parallel.DistributedDataParallel(model)
        sparsifier = Sparsifier(wrapped, groups, Plan(half(groups), materialise=True))
        with pytest.raises(TrainError, match="but DistributedDataParallel holds gradients of the first ones; leave it"):
            sparsifier.attach(OPTIMIZERS["sgd"](wrapped.parameters()))
        assert model.stem.weight.shape == (6, 3, 3, 3)
        optimizer = OPTIMIZERS["sgd"](wrapped.parameters())
        Sparsifier(wrapped, groups, Plan(half(groups))).attach(optimizer)
        train(wrapped, optimizer, range(2), SHAPE)
        assert not model.stem.weight.detach()[:3].any()
    finally:
        torch.distributed.destroy_process_group()


class Odd(torch.optim.SGD):
    """Keeps something of its own for each parameter."""

    def __init__(self, parameters: Any, thing: Any) -> None:
        super().__init__(parameters, lr=0.01)
        self.thing = thing

    def step(self, closure: Any = None) -> Any:
        found = super().step(closure)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].setdefault("mine", self.thing(parameter))
        return found


@pytest.mark.parametrize(
    "thing",
    [lambda p: torch.zeros(p.numel() + 3), lambda p: [p.detach().clone()], lambda p: {"rows": 3}],
    ids=["flat", "list", "dict"],
)
def test_state_of_an_optimizer_that_nobody_can_cut(thing):
    model, groups = residual()
    optimizer = Odd(model.parameters(), thing)
    Sparsifier(model, groups, Plan(half(groups), materialise=True)).attach(optimizer)
    with pytest.raises(
        TrainError, match=r"the optimizer keeps 'mine' for a parameter of shape \(.*without materialise"
    ):
        train(model, optimizer, range(3), SHAPE)


@pytest.mark.parametrize(
    "thing",
    [lambda p: torch.zeros(()), lambda p: 3, lambda p: None, lambda p: "name", lambda p: []],
    ids=["scalar", "number", "nothing", "word", "empty list"],
)
def test_state_that_belongs_to_no_position_stays(thing):
    model, groups = residual()
    optimizer = Odd(model.parameters(), thing)
    sparsifier = Sparsifier(model, groups, Plan(half(groups), materialise=True)).attach(optimizer)
    train(model, optimizer, range(3), SHAPE)
    assert model.stem.weight.shape == (3, 3, 3, 3)
    with sparsifier.whole():
        assert optimizer.state[model.stem.weight]["mine"] == thing(None)


def test_factors_of_a_moment_are_cut_with_their_axes():
    """Adafactor keeps a row and a column in place of a matrix: those of the kept units, as in a run with masks."""
    runs = []
    for materialise in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 4)).double()
        groups = nw.channels(model, torch.zeros(2, 12, dtype=torch.float64))
        optimizer = torch.optim.Adafactor(model.parameters(), lr=0.05)
        x, y = batch(0, (12,))
        for step in range(3):
            if step == 1:  # the state is there before the cut
                sparsifier = Sparsifier(model, groups, Plan(half(groups), materialise=materialise)).attach(optimizer)
            optimizer.zero_grad()
            F.cross_entropy(model(x.double()), y).backward()
            optimizer.step()
        shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        row = optimizer.state[model[0].weight]["row_var"].shape
        with sparsifier.whole():
            state = copy.deepcopy(optimizer.state_dict()["state"])
        runs.append((shapes, row, state))
    (_, whole, masked), (shapes, small, cut) = runs
    assert (shapes["0.weight"], tuple(whole), tuple(small)) == ((5, 12), (10, 1), (5, 1))
    for index, state in masked.items():
        for key, value in state.items():
            assert torch.as_tensor(value).shape == torch.as_tensor(cut[index][key]).shape, (index, key)
