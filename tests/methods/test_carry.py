"""`carry=True`: what a removed weight became while exploring is where its next exploration begins."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from niwaki.core import TrainError
from niwaki.methods import iee
from niwaki.structure.declare import weights

from ..train.loops import mlp, train
from .widths import network

NAMES = ("0.weight", "2.weight", "4.weight")
Values = dict[str, Tensor]


def two_explorations(**switches: Any) -> tuple[Values, Values, Values]:
    """After H, J, Q = 3, 2, 4: the weights before the last exploring step of the first cycle, those with which the
    second exploration begins, and which weights were removed all the time between."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsifier = iee(model, weights(model), density=0.3, steps=60, H=3, J=2, Q=4, **switches)
    explored: Values = {}
    removed: Values = {}

    def note(*_: object) -> None:
        # The weights as the last exploring step leaves them, before anything grows.
        if sparsifier.step == 8:
            explored.update({name: model.get_parameter(name).detach().clone() for name in NAMES})

    optimizer.register_step_post_hook(note)  # first of all, so that it is called before the sparsifier's
    sparsifier.attach(optimizer)
    for step in range(14):
        train(model, optimizer, range(step, step + 1), shape=(12,))
        if step >= 7:
            for name, mask in sparsifier.masks().items():
                removed[name] = ~mask & removed.get(name, torch.ones_like(mask))
    assert sparsifier.stage == "explore"
    return explored, {name: model.get_parameter(name).detach().clone() for name in NAMES}, removed


@pytest.mark.parametrize("switches", [{}, {"explore_init": "mru_zero"}, {"grow_init": "explored"}])
def test_explored_values_are_where_the_next_exploration_begins(switches):
    explored, again, removed = two_explorations(carry=True, **switches)
    for name in NAMES:
        assert torch.equal(again[name][removed[name]], explored[name][removed[name]])
        assert float(explored[name][removed[name]].count_nonzero()) > 0.2 * int(removed[name].sum())


def test_without_it_they_are_put_back():
    _, again, removed = two_explorations()
    assert not any(again[name][removed[name]].any() for name in NAMES)


def test_what_is_carried_cannot_begin_at_zero():
    model = mlp()
    words = r"carry=True .* and explore_init='zero' begins every exploration at zero; leave one of them out"
    with pytest.raises(TrainError, match=words):
        iee(model, weights(model), density=0.3, steps=300, carry=True, explore_init="zero")
    assert iee(model, weights(model), density=0.3, steps=300, carry=True).plan.values.explore == "mru_zero"
    assert iee(model, weights(model), density=0.3, steps=300).plan.values.explore == "zero"


def test_channels_explore_from_what_they_were_as_before():
    model, groups = network()
    values = iee(model, groups, density=0.5, steps=300, carry=True).plan.values
    assert (values.explore, values.grow, values.carry) == ("mru_random", "explored", True)
