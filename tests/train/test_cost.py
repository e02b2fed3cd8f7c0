"""The ledger of a real run against the closed forms of the accounting."""

from __future__ import annotations

import pytest
import torch

from niwaki.methods import acdc, dense, gmp, iee, rigl, static
from niwaki.structure.declare import weights
from niwaki.train.sparsifier import Sparsifier

from .loops import batch, mlp, train

BATCH = 8
DENSE = 2 * BATCH * (12 * 16 + 16 * 16 + 16 * 4)  # forward FLOPs of a batch: two per weight and sample


def run(method, steps: int = 60, **switches: object) -> Sparsifier:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier: Sparsifier = method(model, weights(model), steps=steps, example=batch(0, (12,))[0], **switches)
    sparsifier.attach(optimizer)
    train(model, optimizer, range(steps), shape=(12,))
    return sparsifier


def per_step(sparsifier: Sparsifier, stage: str) -> float:
    entry = sparsifier.ledger.stages[stage]
    assert entry.flops is not None
    return entry.flops / entry.steps


def test_dense_and_static_cost_three_forward_passes():
    assert per_step(run(dense), "dense") == 3 * DENSE
    sparsifier = run(static, density=0.25)
    kept = round(0.25 * 512)
    assert per_step(sparsifier, "train") == pytest.approx(3 * 2 * BATCH * kept)


def test_exploring_costs_three_dense_passes_less_one_sparse():
    sparsifier = run(iee, density=0.25, steps=27, H=6, J=5, Q=7, end=0.7)
    dropped, explored, grown = sparsifier.history
    before, after = (2 * BATCH * 512 * record["density"] for record in (grown, dropped))
    assert per_step(sparsifier, "estimate") == pytest.approx(3 * before)
    assert per_step(sparsifier, "improve") == pytest.approx(3 * after)
    assert per_step(sparsifier, "explore") == pytest.approx(3 * DENSE - after)
    stages = sparsifier.ledger.stages
    assert {name: entry.steps for name, entry in stages.items()} == {
        "estimate": 6,
        "improve": 5,
        "explore": 7,
        "train": 9,
    }


def test_a_rigl_update_costs_one_dense_gradient():
    sparsifier = run(rigl, density=0.25, steps=20, every=10, end=0.9)
    sparse = 2 * BATCH * 512 * 0.25
    assert sparsifier.ledger.flops == pytest.approx(19 * 3 * sparse + 2 * sparse + DENSE)


def test_gradual_and_alternating_methods_follow_their_densities():
    sparsifier = run(acdc, density=0.25, steps=40, compress=(0.25, 0.75), decompress=(0.5,))
    sparse = 2 * BATCH * 512 * 0.25
    assert sparsifier.ledger.stages["dense"].flops == pytest.approx(20 * 3 * DENSE)
    assert sparsifier.ledger.stages["compressed"].flops == pytest.approx(20 * 3 * sparse)
    falling = run(gmp, density=0.25, steps=40, every=5)
    shares = [1.0] + [float(str(record["density"])) for record in falling.history]
    lasted = [5] * (len(shares) - 1) + [40 - 5 * (len(shares) - 1)]
    expected = 3 * DENSE * sum(share * steps for share, steps in zip(shares, lasted, strict=True))
    assert falling.ledger.flops == pytest.approx(expected)


def test_seconds_and_memory_are_counted():
    sparsifier = run(static, density=0.5, steps=5)
    assert sparsifier.ledger.seconds > 0
    assert sparsifier.ledger.peak_memory > 10_000_000
    # A boolean a weight for the structure and one for what grew or was dropped: none. No values are remembered.
    assert sparsifier.extra_bytes == 512 * 2
    # The structure, four records of it (one is the structure itself after a cycle), and four bytes of last values.
    assert 512 * (1 + 3 + 4) <= run(iee, density=0.5, steps=30, H=5, J=5, Q=5).extra_bytes <= 512 * (1 + 4 + 4)


def test_without_an_example_the_first_forward_pass_is_counted():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = static(model, weights(model), density=0.25).attach(optimizer)
    model.eval()
    model(torch.randn(100, 12))
    assert sparsifier.ledger.flops in (None, 0)
    state = torch.random.get_rng_state()
    train(model, optimizer, range(3), shape=(12,))
    assert sparsifier.ledger.dense_step_flops == 3 * DENSE
    assert sparsifier.ledger.flops == pytest.approx(3 * 3 * DENSE * 0.25)
    assert torch.equal(torch.random.get_rng_state(), state)
