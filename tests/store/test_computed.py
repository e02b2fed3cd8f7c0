"""Models whose layers compute their weights from other tensors come back computing the same."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from niwaki.store import load, save
from niwaki.structure import channels, shrink
from tests.structure.computed_layers import COMPUTED, X, network

HELD = [kind for kind in COMPUTED if kind not in ("parametrized", "orthogonal")]


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluating"])
@pytest.mark.parametrize("kind", COMPUTED)
def test_what_is_loaded_computes_what_was_saved(kind, mode, tmp_path):
    model, dense = network(kind).train(mode), network(kind, seed=1).train(mode)
    save(model, tmp_path)
    before = copy.deepcopy(dense.state_dict())
    loaded = load(dense, tmp_path)
    assert {name: p.requires_grad for name, p in loaded.named_parameters()} == {
        name: p.requires_grad for name, p in model.named_parameters()
    }
    for _ in range(2):  # a pass in training mode moves what spectral norms keep
        assert torch.equal(loaded(X), model(X))
    assert all(torch.equal(value, before[name]) for name, value in dense.state_dict().items())
    assert not torch.equal(dense(X), model(X))


# A mask under a norm learns from the pass before: torch lets the norm read it first.
@pytest.mark.parametrize("kind", [kind for kind in COMPUTED if kind != "norm of a mask"])
def test_training_goes_on_as_if_nothing_had_happened(kind, tmp_path):
    model = network(kind)
    save(model, tmp_path)
    loaded = load(network(kind, seed=1), tmp_path)
    for each in (model, loaded):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            each(X).square().sum().backward()
            optimizer.step()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in loaded.state_dict().items())


@pytest.mark.parametrize("kind", HELD)
def test_the_computed_weight_is_there_before_the_first_pass(kind, tmp_path):
    model = network(kind).eval()
    model(X)
    save(model, tmp_path)
    loaded = load(network(kind, seed=1).eval(), tmp_path)
    assert "weight" in vars(loaded[2]) and torch.equal(loaded[2].weight, model[2].weight)
    copy.deepcopy(loaded)


@pytest.mark.parametrize("kind", HELD)
def test_the_dense_model_may_be_on_meta(kind, tmp_path):
    model = network(kind).eval()
    save(model, tmp_path)
    loaded = load(network(kind, seed=1).eval().to("meta"), tmp_path)
    assert torch.equal(loaded(X), model(X))


@pytest.mark.parametrize("kind", HELD)
def test_channels_beside_it_may_be_gone(kind, tmp_path):
    model = network(kind).eval()
    groups = channels(model, X)
    assert [(group.name, group.size) for group in groups] == [("4", 5)]
    small = shrink(model, groups, {"4": torch.tensor([True, False, True, True, False])})
    save(small, tmp_path)
    loaded = load(network(kind, seed=1).eval(), tmp_path)
    assert loaded[4].weight.shape == (3, 8) and torch.equal(loaded(X), small(X))


class Remembering(nn.Module):
    """Keeps what it computed, with its history, in a list."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(4, 2), []

    def forward(self, x):
        self.seen = [(self.layer(x),)]
        return self.seen[0][0]


def test_what_a_model_remembers_of_its_last_pass_is_no_hindrance(tmp_path):
    model, dense = Remembering(), Remembering()
    for each in (model, dense):
        each(X)
    save(model, tmp_path)
    loaded = load(dense, tmp_path)
    assert torch.equal(loaded.layer.weight, model.layer.weight)
    assert torch.equal(loaded.seen[0][0], dense.seen[0][0]) and not loaded.seen[0][0].requires_grad
    assert loaded.seen[0][0].data_ptr() != dense.seen[0][0].data_ptr()
