"""HALP and IEE come to the same channels and the same cost whether the model is really smaller on the way or not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from niwaki.methods import halp, iee

from ..train.loops import batch, train
from .widths import limit, network

RUNS: list[tuple[Any, dict[str, int]]] = [
    (halp, {"every": 4, "events": 5}),
    (iee, {"H": 5, "J": 4, "Q": 4, "reach": 10, "warmup": 4}),
]


@pytest.mark.parametrize(("method", "switches"), RUNS, ids=["halp", "iee"])
def test_really_smaller_while_training_is_the_same_run(method, switches):
    ends = []
    for smaller in (False, True):
        model, groups = network()
        model = model.double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        sparsifier = method(
            model,
            groups,
            budget=limit(0.4),
            steps=70,
            materialise=smaller,
            example=torch.zeros(8, 3, 6, 6).double(),
            **switches,
        ).attach(optimizer)
        train(model, optimizer, range(70))
        widest = model[0].weight.shape[0]
        sparsifier.detach()
        model.eval()
        ends.append((sparsifier.keep, sparsifier.ledger.dense_runs(), model(batch(99)[0].double()), widest))
    (keep, cost, out, wide), (other, other_cost, other_out, narrow) = ends
    assert all(torch.equal(keep[name], other[name]) for name in keep)
    assert other_cost == pytest.approx(cost, rel=1e-6)
    torch.testing.assert_close(other_out, out, rtol=1e-6, atol=1e-8)
    assert wide == 8
    assert narrow == int(keep["0"].sum()) < 8
