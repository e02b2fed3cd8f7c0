"""Copies of models whose layers compute their weights from other tensors."""

from __future__ import annotations

import pytest
import torch

from niwaki.structure import channels, shrink, verify, weights, zeroed
from tests.structure.computed_layers import COMPUTED, X, network

HELD = [kind for kind in COMPUTED if kind not in ("parametrized", "orthogonal")]
NAMES = {"weight norm": "2.weight_v", "spectral norm": "2.weight_orig", "mask": "2.weight_orig"}


def halves(groups):
    return {group.name: torch.arange(group.size) % 2 == 0 for group in groups}


def by_hand(model, keep):
    """The outputs with every second weight at zero, written into a model of the same make."""
    with torch.no_grad():
        for name, row in keep.items():
            parameter = model.get_parameter(name)
            parameter.mul_(row.view(parameter.shape))
    return model(X)


@pytest.mark.parametrize("kind", COMPUTED)
def test_the_other_layers_are_zeroed(kind):
    model, twin = network(kind).eval(), network(kind).eval()
    groups, before = weights(model), model(X)
    keep = halves(groups)
    copy = zeroed(model, groups, keep)
    assert torch.equal(copy(X), by_hand(twin, keep)) and torch.equal(model(X), before)
    assert verify(model, copy, groups, keep, X)
    zeroed(model, groups, keep, inplace=True)
    assert torch.equal(model(X), copy(X))


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_what_a_weight_is_computed_from_is_zeroed_if_asked(kind, name):
    model, twin = network(kind).eval(), network(kind).eval()
    groups = weights(model, also=[name])
    keep = {name: halves(groups)[name]}
    expected = by_hand(twin, keep)
    for copy in (zeroed(model, groups, keep), zeroed(model, groups, keep, inplace=True)):
        # Where the weight lies that is computed, it has its zeros before the first pass.
        assert not copy[2].weight.detach().flatten()[1::2].any() and copy[2].weight.detach().any()
        assert torch.equal(copy(X), expected)


@pytest.mark.parametrize("kind", HELD)
def test_what_transforms_leave_behind_is_no_hindrance(kind):
    model = network(kind).eval()
    groups, before = weights(model), model(X).detach()
    held = {name: p.detach() for name, p in model.named_parameters()}

    def out(parameters, x):
        return torch.func.functional_call(model, parameters, x[None]).sum()

    torch.func.vmap(torch.func.grad(out), in_dims=(None, 0))(held, X)
    copy = zeroed(model, groups, {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups})
    assert torch.equal(copy(X), before) and torch.equal(model(X), before)


@pytest.mark.parametrize("kind", COMPUTED)
def test_copies_share_nothing_and_train(kind):
    model = network(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = weights(model)
    copy = zeroed(model, groups, halves(groups))
    mine = {t.data_ptr() for module in model.modules() for t in vars(module).values() if isinstance(t, torch.Tensor)}
    theirs = {t.data_ptr() for module in copy.modules() for t in vars(module).values() if isinstance(t, torch.Tensor)}
    assert not mine & theirs
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.1)
    first = copy(X).square().sum()
    first.backward()
    optimizer.step()
    assert copy(X).square().sum() < first
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", HELD)
def test_channels_of_other_layers_go(kind):
    model = network(kind).eval()
    groups = channels(model, X)
    keep = {group.name: torch.arange(group.size) > 1 for group in groups}
    small = shrink(model, groups, keep)
    assert small[4].weight.shape == (3, 8) and verify(model, small, groups, keep, X)
