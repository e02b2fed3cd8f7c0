"""HALP against its own formulas, by hand and by trying every width."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from niwaki.core import BudgetError, TrainError
from niwaki.methods import halp
from niwaki.structure import shrink

from ..train.loops import batch, train
from .widths import SIZES, cost, limit, network, paid, staircase


def sgd(model: torch.nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def test_the_first_pruning_is_the_best_of_all_widths_by_the_mean_score_of_its_window():
    model, groups = network()
    halp(model, groups, budget=limit(0.4), steps=20, every=5, events=1).attach(optimizer := sgd(model))
    train(model, optimizer, range(5))
    twin, _ = network()
    optimizer, sums = sgd(twin), {"0": torch.zeros(8), "3": torch.zeros(8)}
    for step in range(5):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        for name, norm in (("0", twin[1]), ("3", twin[4])):
            sums[name] += (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).detach().abs() / 5
        optimizer.step()
    ranked = {name: score.sort(descending=True) for name, score in sums.items()}
    most = 0.4 * staircase(8, 8)
    a, b = max(
        ((a, b) for a, b in product(range(1, 9), repeat=2) if staircase(a, b) <= most),
        key=lambda ab: float(ranked["0"].values[: ab[0]].sum() + ranked["3"].values[: ab[1]].sum()),
    )
    for name, count in (("0", a), ("3", b)):
        kept = set(ranked[name].indices[:count].tolist())
        weight = model.get_parameter(f"{name}.weight").detach().flatten(1)
        assert set(weight.any(1).nonzero().flatten().tolist()) == kept


@pytest.mark.parametrize("solver", ["exact", "greedy"])
def test_no_pruning_exceeds_its_target_and_nothing_returns(solver):
    model, groups = network()
    sparsifier = halp(model, groups, budget=limit(0.3), steps=40, every=3, events=10, solver=solver)
    sparsifier.attach(optimizer := sgd(model))
    seen = []
    train(model, optimizer, range(40), watch=lambda step: seen.append((step, sparsifier.keep)))
    dense, target = staircase(8, 8), 0.3 * staircase(8, 8)
    before = {name: torch.ones(8, dtype=torch.bool) for name in SIZES}
    for step, keep in seen:
        k = min(step // 3, 10)
        assert paid(keep) <= math.exp(k / 10 * math.log(target) + (1 - k / 10) * math.log(dense)) * (1 + 1e-12)
        assert not any(bool((keep[name] & ~before[name]).any()) for name in SIZES)
        before = keep
    assert [record["step"] for record in sparsifier.history] == list(range(3, 31, 3))
    assert sparsifier.stage == "train"
    for where in (where for group in groups for where in group.slices):
        mask = sparsifier.masks()[where.tensor]
        assert not model.get_parameter(where.tensor).detach()[~mask].any()


def test_what_is_left_shrinks_to_the_same_function():
    model, groups = network()
    sparsifier = halp(model, groups, budget=limit(0.3), steps=30, every=2, events=8).attach(optimizer := sgd(model))
    train(model, optimizer, range(30))
    model.eval()
    x = batch(99)[0]
    small = shrink(model, groups, sparsifier.keep)
    assert small[0].out_channels == int(sparsifier.keep["0"].sum()) < 8
    torch.testing.assert_close(small.eval()(x), model(x), rtol=1e-5, atol=1e-6)


def test_units_leave_in_chunks():
    model, groups = network()
    sparsifier = halp(model, groups, budget=limit(0.3), steps=30, every=2, events=8, chunk={"0": 4, "3": 2})
    sparsifier.attach(optimizer := sgd(model))
    seen = []
    train(model, optimizer, range(30), watch=lambda _: seen.append([int(k.sum()) for k in sparsifier.keep.values()]))
    assert all(a % 4 == 0 and b % 2 == 0 for a, b in seen)
    assert seen[-1] != [8, 8]


def test_training_costs_what_the_widths_cost():
    model, groups = network()
    sparsifier = halp(
        model, groups, budget=limit(0.3), steps=30, every=5, events=4, example=torch.zeros(8, 3, 6, 6)
    ).attach(optimizer := sgd(model))
    # MACs of a picture of 6 x 6: 27 a, 9 a b per position; the linear layer reads 4 b and makes 4.
    widths = []

    def macs(a: int, b: int) -> int:
        return 36 * (27 * a + 9 * a * b) + 4 * 4 * b

    counts = [(8, 8)]
    train(
        model,
        optimizer,
        range(30),
        watch=lambda _: widths.append(tuple(int(sparsifier.keep[name].sum()) for name in SIZES)),
    )
    counts += widths[:-1]  # the widths under which each step ran
    expected = sum(macs(a, b) for a, b in counts) / (30 * macs(8, 8))
    assert sparsifier.ledger.dense_runs() == pytest.approx(expected, rel=1e-6)
    assert expected < 0.9


@pytest.mark.parametrize(
    ("switches", "error", "words"),
    [
        ({"budget": limit(0.05)}, BudgetError, "cannot be met"),
        ({"budget": []}, BudgetError, "there is no budget"),
        ({"steps": 20}, TrainError, "20 steps are too few: a run of 10 prunings 3 steps apart .* needs at least 30"),
        ({"events": 0}, TrainError, "events=0 will not do; give a whole number"),
    ],
)
def test_bad_arguments_are_named(switches, error, words):
    model, groups = network()
    with pytest.raises(error, match=words):
        halp(model, groups, **({"budget": limit(0.3), "steps": 40, "every": 3, "events": 10} | switches))


def test_the_cost_by_layers_is_the_cost_by_the_formula():
    for a, b in product(range(1, 9), repeat=2):
        assert cost()({"0": a, "3": b}) == staircase(a, b)
