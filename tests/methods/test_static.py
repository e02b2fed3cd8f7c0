"""One fixed structure within a budget: the same share everywhere, the largest that fits; or what a knapsack picks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import BudgetError
from tests.train.channel_nets import SHAPE, narrow_resnet, residual
from tests.train.loops import OPTIMIZERS, train


def _chain(widths=(5, 12, 20, 3)):
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    x = torch.zeros(2, widths[0])
    return model, nw.channels(model, x), nw.counted(model, x)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_budget_is_one_share_of_all_groups_the_largest_that_fits(share):
    """Counted by hand: 5 a + a b + 3 b multiplications; shares are tried in steps of 1/60, which has both widths'."""
    model, groups, prices = _chain()
    sparsifier = nw.static(model, groups, budget=nw.Macs(share, prices.macs), steps=5)
    most = share * (5 * 12 + 12 * 20 + 20 * 3)
    fits = [(12 * k // 60, 20 * k // 60) for k in range(5, 61)]
    best = [(a, b) for a, b in fits if 5 * a + a * b + 3 * b <= most][-1]
    assert tuple(int(row.sum()) for row in sparsifier.keep.values()) == best


def test_which_units_stay_is_the_criterion_s():
    model, groups, prices = _chain()
    keep = nw.static(model, groups, budget=nw.Macs(0.5, prices.macs), init=nw.Magnitude(), steps=5).keep
    scores = nw.score(nw.Magnitude(), model, groups)
    for name, row in keep.items():
        assert scores[name][row].min() > scores[name][~row].max()
    drawn = [nw.static(model, groups, budget=nw.Macs(0.5, prices.macs), seed=seed, steps=5).keep for seed in (0, 0, 1)]
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in keep)
    assert not all(torch.equal(drawn[0][name], drawn[2][name]) for name in keep)


def test_another_allocator_for_a_budget():
    model, groups, prices = _chain()
    budget = [nw.Macs(0.5, prices.macs), nw.Parameters(0.4, prices.parameters)]
    found = nw.static(model, groups, budget=budget, init=nw.Magnitude(), allocator=nw.knapsack, steps=5).keep
    expected = nw.knapsack(groups, nw.score(nw.Magnitude(), model, groups), budget)
    assert all(torch.equal(found[name], row) for name, row in expected.items())


@pytest.mark.parametrize("make", [residual, narrow_resnet])
def test_a_really_smaller_model_trains_the_same(make):
    """As on a model that was shrunk before the training and never knew of its other channels."""
    results = {}
    for way in ("masked", "materialised", "shrunk"):
        model, groups = make()
        prices = nw.counted(model, torch.zeros(2, *SHAPE, dtype=torch.float64)).macs
        dense = sum(p.numel() for p in model.parameters())
        plan = nw.static(model, groups, budget=nw.Macs(0.5, prices), steps=8, materialise=way == "materialised")
        keep = plan.keep
        if way == "shrunk":
            model = nw.shrink(model, groups, keep)
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        if way != "shrunk":
            plan.attach(optimizer)
        train(model, optimizer, range(8), SHAPE)
        if way != "shrunk":
            assert (sum(p.numel() for p in model.parameters()) < dense) == (way == "materialised")
            plan.detach()
            model = nw.shrink(model, groups, keep)
        results[way] = dict(model.named_parameters())
    for name, value in results["shrunk"].items():
        if "conv1.bias" not in name:  # before a norm it has no gradient but rounding
            torch.testing.assert_close(results["masked"][name], value, rtol=1e-9, atol=1e-10, msg=name)
            torch.testing.assert_close(results["materialised"][name], value, rtol=1e-9, atol=1e-10, msg=name)


def test_one_of_the_two():
    model, groups, prices = _chain()
    for given in ({}, {"density": 0.5, "budget": nw.Macs(0.5, prices.macs)}):
        with pytest.raises(BudgetError, match="give either density=, .* or budget=, .*; (both|neither) came"):
            nw.static(model, groups, steps=5, **given)
    with pytest.raises(BudgetError, match="at most .* are asked for .*, but min_keep and multiple_of keep at least"):
        nw.static(model, groups, budget=nw.Macs(0.001, prices.macs), steps=5)
