"""AC/DC ends compressed, or is refused: phases of one's own cannot leave a dense network behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from niwaki.core import TrainError
from niwaki.methods import acdc
from niwaki.structure.declare import weights

from ..train.loops import mlp, train

Shares = tuple[float, ...]


def run(compress: Shares, decompress: Shares, **more: Any) -> float:
    """The share of weights that is not zero after a run with these phases."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    acdc(
        model, weights(model), density=0.1, **{"steps": 40, "compress": compress, "decompress": decompress, **more}
    ).attach(optimizer)
    train(model, optimizer, range(40), shape=(12,))
    every = torch.cat([model[at].weight.detach().flatten() for at in (0, 2, 4)])
    return float((every != 0).double().mean())


@pytest.mark.parametrize(
    ("compress", "decompress", "words"),
    [
        ((0.2,), (0.5,), r"the last phase, at 0\.5 of the run, is a dense one"),
        ((0.2, 0.6), (0.3, 1.0), r"the last phase, at 1\.0 of the run, is a dense one"),
        ((), (0.5,), r"the last phase, at 0\.5 of the run, is a dense one"),
        ((), (), "there are no phases"),
    ],
)
def test_phases_that_end_dense_are_refused(compress, decompress, words):
    with pytest.raises(TrainError, match=f"{words}.*; let a share in compress= be the last"):
        run(compress, decompress)


@pytest.mark.parametrize(
    ("compress", "decompress", "words"),
    [
        ((0.2, 0.5), (0.5,), r"0\.5 and 0\.5 of the run, fall on step 20 of 40"),
        ((0.2, 0.51), (0.5,), r"0\.5 and 0\.51 of the run, fall on step 20 of 40"),
        ((0.2, 0.2), (), r"0\.2 and 0\.2 of the run, fall on step 8 of 40"),
        ((0.01, 0.5), (0.0,), r"0\.0 and 0\.01 of the run, fall on step 1 of 40"),
    ],
)
def test_two_phases_on_one_step_are_refused_as_phases(compress, decompress, words):
    with pytest.raises(TrainError, match=f"two phases, at {words}; set them further apart"):
        run(compress, decompress)


@pytest.mark.parametrize(("compress", "decompress"), [((0.2, 0.7), (0.5,)), ((0.7, 0.2), (0.5,)), ((1.0,), ())])
def test_phases_that_end_compressed_deliver_the_density_in_any_order(compress, decompress):
    assert run(compress, decompress) == pytest.approx(0.1, abs=1e-3)
