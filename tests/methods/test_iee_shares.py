"""What IEE swaps in each cycle: `alpha` in the first, and less from cycle to cycle, whatever came before."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from niwaki.methods import iee
from niwaki.moves import Drop, Shed, constant
from niwaki.structure.declare import weights
from niwaki.train.sparsifier import Sparsifier

from ..train.loops import mlp, train
from .widths import limit, network


def shares(sparsifier: Sparsifier) -> list[float]:
    moves = [move for event in sparsifier.plan.timeline.events for move in event.moves]
    return [move.fraction if isinstance(move, Drop) else move.share for move in moves if isinstance(move, Drop | Shed)]


def by_density(**switches: Any) -> list[float]:
    model = mlp()
    return shares(iee(model, weights(model), **{"density": 0.2, "steps": 4000, **switches}))


def by_budget(**switches: Any) -> list[float]:
    model, groups = network()
    return shares(iee(model, groups, budget=limit(0.5), **{"steps": 4000, **switches}))


@pytest.mark.parametrize(
    ("found", "alpha", "decay", "way", "cycles"),
    [
        # Cycles of 100 steps until 3000: 30 of them at once, or 14 after 400 dense steps and 1200 on the way down.
        (lambda: by_density(), 0.3, 2.5, 30.0, 30),
        (lambda: by_density(warmup=400, reach=1200), 0.3, 2.5, 14.0, 14),
        (lambda: by_density(warmup=400, reach=1250, alpha=0.1, decay=1.0), 0.1, 1.0, 13.5, 13),
        # Until 1600 for a budget, of which 500 go by on the way down.
        (lambda: by_budget(), 0.05, 2.5, 11.0, 11),
        (lambda: by_budget(reach=0, alpha=0.3, decay=4.0), 0.3, 4.0, 16.0, 16),
        # A run as short as one cycle.
        (lambda: by_density(steps=140, reach=5), 0.3, 2.5, 1.0, 1),
    ],
)
def test_the_first_cycle_swaps_alpha_and_later_ones_fall_by_equal_factors(found, alpha, decay, way, cycles):
    assert found() == pytest.approx([alpha * math.exp(-decay * n / way) for n in range(cycles)], rel=1e-12)


def test_without_decay_every_cycle_swaps_the_same_share():
    assert by_density(warmup=400, reach=1200, decay=0.0) == [0.3] * 14
    assert by_budget(decay=0) == [0.05] * 11


def test_a_schedule_of_the_user_s_own_goes_by_the_steps_of_the_run():
    found = by_density(warmup=400, reach=1200, swap=lambda step: step / 4000)
    assert found == [(1600 + 100 * n) / 4000 for n in range(14)]
    assert by_budget(swap=constant(0.25)) == [0.25] * 11


def test_what_leaves_first_is_alpha_of_the_active_weights_after_a_dense_start():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = iee(model, weights(model), density=0.5, steps=80, H=5, J=4, Q=3, warmup=5, reach=20).attach(optimizer)
    train(model, optimizer, range(29), shape=(12,))
    active = {name: int(keep.sum()) for name, keep in sparsifier.keep.items()}
    removed = {name: int((~keep).sum()) for name, keep in sparsifier.keep.items()}
    train(model, optimizer, range(29, 30), shape=(12,))
    left = {name: active[name] - int(keep.sum()) for name, keep in sparsifier.keep.items()}
    assert left == {name: min(3 * active[name] // 10, removed[name]) for name in active}
    assert sum(left.values()) > 0
