"""SET: what grows is drawn independently of the first structure, against the hypergeometric distribution."""

from __future__ import annotations

import math

import pytest
import torch

from niwaki.criteria import Random
from niwaki.methods import rigl, sparse_evolution
from niwaki.structure.declare import weights

from ..train.loops import mlp, train

SEEDS = [0, 1, 17, 2**32, 2**40 + 3, 2**63 - 1, 2**64 - 1]


def new_in_the_first_swap(seed: int, other: int | None = None) -> tuple[int, int]:
    """How many weights the first swap drops in the middle layer, and how many of those active then are new."""
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = sparse_evolution(model, weights(model, ignore=["0", "4"]), density=0.25, steps=20, every=5, seed=seed)
    if other is not None:
        sparsifier._generator.manual_seed(other)
    sparsifier.attach(optimizer)
    before = sparsifier.keep["2.weight"]
    train(model, optimizer, range(5), shape=(12,))
    share = 0.15 * (1 + math.cos(math.pi * 5 / 15))
    return int(share * int(before.sum())), int((sparsifier.keep["2.weight"] & ~before).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_swap_moves_as_many_units_as_chance_would(seed):
    # Of 256 weights 64 are active; 14 leave, and 14 of the 192 + 14 removed ones come back: 14 * 192 / 206 = 13 new.
    dropped, new = new_in_the_first_swap(seed)
    assert dropped == 14
    spread = math.sqrt(14 * (192 / 206) * (14 / 206) * (192 / 205))
    assert abs(new - 14 * 192 / 206) < 5 * spread
    assert abs(new - new_in_the_first_swap(seed, other=12345)[1]) < 8 * spread


def test_seeds_give_swaps_of_their_own_and_one_seed_gives_the_same():
    def structure(seed: int) -> torch.Tensor:
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        made = rigl(model, weights(model), density=0.25, steps=20, every=5, grow=Random(), seed=seed).attach(optimizer)
        train(model, optimizer, range(5), shape=(12,))
        return made.keep["2.weight"]

    assert torch.equal(structure(3), structure(3))
    assert not torch.equal(structure(3), structure(4))
