"""What criteria see of weights that are gone: zeros where units leave, and what they are while they explore."""

from typing import Any

import pytest
import torch

import niwaki as nw
from niwaki.core import Signals
from tests.train.loops import OPTIMIZERS, mlp, train

CYCLE: dict[str, Any] = {"density": 0.3, "steps": 60, "H": 4, "J": 3, "Q": 3}
SHAPE = (12,)


@pytest.mark.parametrize("units", ["weights", "channels"])
@pytest.mark.parametrize("base", [nw.Lamp(), nw.Magnitude(), nw.Taylor()])
def test_what_leaves_is_chosen_by_the_weights_that_are_there(units, base):
    model = mlp()
    seen: list[Any] = []

    class Watched:
        needs = base.needs

        def __call__(self, group, signals):
            if group.name == groups[0].name and sparsifier.stage != "explore":
                weights = {name: p.detach().clone() for name, p in model.named_parameters()}
                seen.append((base(group, signals), base(group, Signals({**signals.values, "weight": weights}))))
            return base(group, signals)

    groups = nw.weights(model) if units == "weights" else nw.channels(model, torch.zeros(1, 12))
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = nw.iee(model, groups, **CYCLE, criterion=Watched(), scope="global").attach(optimizer)
    train(model, optimizer, range(45), SHAPE)
    assert len(seen) > 3
    for found, expected in seen:
        assert torch.equal(found, expected)


def test_what_explores_is_chosen_by_what_it_is():
    model = mlp()
    scores: dict[str, Any] = {}

    class Watched(nw.Magnitude):
        def __call__(self, group, signals):
            scores[group.name] = super().__call__(group, signals)
            return scores[group.name]

    groups = nw.channels(model, torch.zeros(1, 12))
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = nw.iee(model, groups, **CYCLE, criterion=Watched()).attach(optimizer)
    train(model, optimizer, range(9), SHAPE)
    removed = {name: ~keep for name, keep in sparsifier.keep.items()}
    train(model, optimizer, range(9, 10), SHAPE)
    assert all(bool((scores[name][mask] > 0).all()) for name, mask in removed.items())
