"""Random scores: fair, seeded, and one per unit."""

import torch
from torch import nn

from niwaki.criteria import Random
from niwaki.signals import score
from niwaki.structure.declare import blocks, weights


def _draw(model, groups, seed):
    return score(Random(), model, groups, generator=torch.Generator().manual_seed(seed))


def test_the_seed_decides():
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    groups = weights(model)
    first, again, other = (_draw(model, groups, seed) for seed in (1, 1, 2))
    for group in groups:
        assert torch.equal(first[group.name], again[group.name])
        assert not torch.equal(first[group.name], other[group.name])


def test_the_order_of_the_groups_plays_no_part():
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    groups = list(weights(model))
    forward, backward = _draw(model, groups, 1), _draw(model, groups[::-1], 1)
    assert all(torch.equal(forward[name], backward[name]) for name in forward)


def test_blocks_are_uniform_whatever_their_size():
    # 40 000 blocks of 2 x 3, some cut off at the border: mean 1/2, variance 1/12, all deciles filled alike.
    model = nn.Linear(599, 399, bias=False)
    groups = blocks(model, (2, 3))
    found = _draw(model, groups, 0)["weight"]
    assert found.shape == (200 * 200,)
    assert abs(float(found.mean()) - 1 / 2) < 4 * (1 / 12 / 40_000) ** 0.5
    counts = torch.histc(found, 10, 0.0, 1.0)
    # Chi-square with 9 degrees of freedom stays under 27.9 in 999 of 1000 draws.
    assert float(((counts - 4000) ** 2 / 4000).sum()) < 27.9
    assert float(found.min()) >= 0
    assert float(found.max()) < 1
