"""IEE where the truth is planted: what exploration is for, as the method's specification proposes to test it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from niwaki.core import Group, Signals
from niwaki.criteria import Random
from niwaki.methods import iee, static
from niwaki.moves import rigl_cosine
from niwaki.structure import channels, weights
from niwaki.train import Sparsifier

PAIRS, TRUE, STEPS = 40, 12, 500
CYCLE: dict[str, Any] = {"H": 10, "J": 10, "Q": 20, "explore_rate": 1.0, "grow_init": "mru"}


def regression(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs in pairs with a correlation of 0.7, one of a pair true at most; targets; which are true."""
    chance = torch.Generator().manual_seed(seed)
    first, other = torch.randn(2, 400, PAIRS, generator=chance)
    inputs = torch.cat([first, 0.7 * first + 0.51**0.5 * other], 1)
    true = torch.zeros(2 * PAIRS)
    sizes, signs = torch.rand(2, TRUE, generator=chance)
    true[:TRUE] = (sizes + 0.5) * (2 * signs - 1).sign()
    noise = 0.5 * torch.randn(400, generator=chance)
    return inputs, (inputs @ true + noise)[:, None], true != 0


def fit(model: nn.Module, sparsifier: Sparsifier, lr: float, data: tuple[Tensor, Tensor], steps: int) -> None:
    """Plain gradient descent on the squared error of all samples."""
    sparsifier.attach(optimizer := torch.optim.SGD(model.parameters(), lr=lr))
    for _ in range(steps):
        optimizer.zero_grad()
        ((model(data[0]) - data[1]) ** 2).mean().div(2).backward()
        optimizer.step()


@pytest.mark.parametrize("seed", range(5))
def test_exploration_finds_the_true_coefficients_and_a_fixed_structure_never_does(seed):
    inputs, targets, true = regression(seed)
    active = {}
    for method, switches in ((static, {}), (iee, CYCLE | {"swap": rigl_cosine(0.5, 400)})):
        model = nn.Linear(2 * PAIRS, 1, bias=False)
        nn.init.zeros_(model.weight)
        chosen = {"density": TRUE / len(true), "steps": STEPS, "seed": seed}
        sparsifier = method(model, weights(model), **chosen, **switches)
        start = sparsifier.masks()["weight"][0]
        # Chance alone begins with 1.8 of the 12, and with 6 or more once in 2,000 times.
        assert int((start & true).sum()) < 6
        fit(model, sparsifier, 0.1, (inputs, targets), STEPS)
        active[method] = sparsifier.masks()["weight"][0]
        if method is static:
            assert torch.equal(active[static], start)
    assert torch.equal(active[iee], true)
    assert not torch.equal(active[static], true)


class FirstTwo:
    """Chooses the first two channels to start with."""

    needs: frozenset[str] = frozenset()

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """High for the first two."""
        return (torch.arange(group.size) < 2).float()


def missing_one_grows(seed: int, Q: int, outgoing: float, **switches: Any) -> bool:  # noqa: N803
    """Four channels: useful, useless, a copy of the first, the missing one; whether the last replaces the second."""
    chance = torch.Generator().manual_seed(seed)
    useful, missing = torch.randn(2, 8, generator=chance) / 8**0.5
    inputs = torch.randn(512, 8, generator=chance)
    targets = (inputs @ useful).relu() + (inputs @ missing).relu()
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        useless = 0.05 * torch.randn(8, generator=chance)
        model[0].weight.copy_(torch.stack([useful, useless, useful, missing]))
        model[2].weight.copy_(torch.tensor([[1.0, 0.01, outgoing, outgoing]]))
    groups, steps = channels(model, inputs[:2]), 15 + Q
    sparsifier = iee(
        model, groups, density=0.5, steps=steps + 1, H=10, J=5, Q=Q, alpha=0.5, end=1, explore_rate=1.0,
        init=FirstTwo(), seed=seed, **switches,
    )  # fmt: skip
    (kept,) = sparsifier.keep.values()
    assert kept.tolist() == [True, True, False, False]
    fit(model, sparsifier, 0.05, (inputs, targets[:, None]), steps)
    (kept,) = sparsifier.keep.values()
    assert int(kept.sum()) == 2
    return kept.tolist() == [True, False, False, True]


def test_a_channel_that_adds_something_grows_before_a_copy_of_a_kept_one():
    assert all(missing_one_grows(seed, 40, 0.0) for seed in range(8))
    assert not all(missing_one_grows(seed, 40, 0.0, criterion=Random()) for seed in range(8))


def test_one_step_takes_the_copy_more_often_than_many_do():
    short = [missing_one_grows(seed, 1, 0.3) for seed in range(8)]
    long = [missing_one_grows(seed, 40, 0.3) for seed in range(8)]
    assert sum(short) < 4 < sum(long)
