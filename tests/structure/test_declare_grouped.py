"""Convolutions in groups: each output reads the inputs of its own group, and patterns and rows follow it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.allocate import Patterned, RowWise, Uniform
from niwaki.core import GroupError
from niwaki.structure import n_of_m, weights, zeroed

LAYERS = {
    "convolution": lambda i, o, g: nn.Conv2d(i, o, 1, groups=g, bias=False),
    "transposed": lambda i, o, g: nn.ConvTranspose2d(i, o, 1, groups=g, bias=False),
    "transposed 1d": lambda i, o, g: nn.ConvTranspose1d(i, o, 1, groups=g, bias=False),
    "transposed 3d": lambda i, o, g: nn.ConvTranspose3d(i, o, 1, groups=g, bias=False),
}


def read_by(layer, inputs):
    """Which inputs each output reads, ``[outputs, inputs]``, found by putting in one at a time."""
    x = torch.eye(inputs).reshape(inputs, inputs, *[1] * (layer.weight.dim() - 2))
    with torch.no_grad():
        return layer(x).flatten(1).T != 0


def random_scores(groups, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {group.name: torch.randn(group.size, generator=generator) for group in groups}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("inputs", "outputs", "parts"), [(8, 4, 2), (8, 6, 1), (12, 6, 3), (16, 8, 2)])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (1, 2)])
def test_every_output_keeps_n_of_every_m_inputs(make, inputs, outputs, parts, n, m):
    layer = make(inputs, outputs, parts)
    groups = n_of_m(layer, n, m)
    keep = Patterned()(groups, random_scores(groups), n / m)
    found = read_by(zeroed(layer, groups, keep), inputs)
    of_group = inputs // parts
    for output in range(outputs):
        begin = output // (outputs // parts) * of_group
        runs = found[output, begin : begin + of_group].reshape(-1, m)
        assert runs.sum(1).tolist() == [n] * len(runs)
        assert int(found[output].sum()) == of_group * n // m


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("inputs", "parts", "seen"), [(4, 2, 2), (8, 8, 1), (18, 3, 6)])
def test_runs_do_not_cross_groups(make, inputs, parts, seen):
    with pytest.raises(GroupError, match=rf"weight: its {seen} inputs are not a multiple of 4"):
        n_of_m(make(inputs, 2 * parts, parts), 2, 4)


def test_a_vector_of_a_layer_in_groups_has_its_own_length():
    groups = n_of_m(nn.ConvTranspose1d(16, 8, 1, groups=4), 2, 4, also=["bias"])
    assert [(group.name, group.size) for group in groups] == [("weight", 32), ("bias", 8)]


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize(("inputs", "outputs", "parts"), [(8, 4, 2), (6, 5, 1), (12, 6, 3), (6, 6, 6)])
@pytest.mark.parametrize("density", [0.5, 0.3])
def test_every_output_keeps_the_same_share_of_its_inputs(make, inputs, outputs, parts, density):
    layer = make(inputs, outputs, parts)
    groups = weights(layer)
    scores = random_scores(groups, 1)
    keep = RowWise()(groups, scores, density)
    assert {name: int(row.sum()) for name, row in keep.items()} == {
        name: int(row.sum()) for name, row in Uniform()(groups, scores, density).items()
    }
    found = read_by(zeroed(layer, groups, keep), inputs)
    counts = found.sum(1)
    assert int(counts.max() - counts.min()) <= 1
    # What is kept of a row is the best of it: the scores, as a weight, seen in the same way.
    with torch.no_grad():
        layer.weight.copy_(scores["weight"].view(layer.weight.shape))
    x = torch.eye(inputs).reshape(inputs, inputs, *[1] * (layer.weight.dim() - 2))
    score = layer(x).detach().flatten(1).T
    for output in range(outputs):
        begin = output // (outputs // parts) * (inputs // parts)
        row, kept = score[output, begin : begin + inputs // parts], found[output, begin : begin + inputs // parts]
        assert not kept.any() or kept.all() or row[kept].min() > row[~kept].max()


def test_kernels_of_more_than_one_position():
    layer = nn.ConvTranspose2d(6, 4, (2, 3), groups=2, bias=False)  # 4 outputs of 3 inputs at 6 positions each
    groups = weights(layer)
    keep = RowWise()(groups, random_scores(groups), 0.5)["weight"].view(2, 3, 2, 6)  # group, input, output, position
    assert keep.sum((1, 3)).tolist() == [[9, 9], [9, 9]]
