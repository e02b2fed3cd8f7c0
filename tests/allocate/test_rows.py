"""Weights ranked within the rows of their layer, against a loop over the rows."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import niwaki as nw
from niwaki.core import BudgetError, GroupError
from tests.allocate.nets import distinct_scores, row


def by_hand(rows, count):
    """The best of each row in turn: lists of scores, row by row; the places that are kept."""
    orders = [[i for _, i in sorted((-score, i) for i, score in enumerate(r))] for r in rows]
    kept: set[tuple[int, int]] = set()
    for rank in range(len(rows[0])):
        turn = [(line, order[rank]) for line, order in enumerate(orders) if rows[line][order[rank]] > -math.inf]
        turn.sort(key=lambda place: (-rows[place[0]][place[1]], place))
        for place in turn:
            if len(kept) < count:
                kept.add(place)
    return [[(line, i) in kept for i in range(len(r))] for line, r in enumerate(rows)]


@settings(max_examples=150, deadline=None)
@given(st.tuples(st.integers(1, 6), st.integers(1, 7)), st.floats(0.05, 1.0), st.integers(0, 10_000), st.booleans())
def test_every_row_keeps_its_best(shape, density, seed, ties):
    group = row("a", math.prod(shape), shape=shape)
    scores = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    scores = scores.round() if ties else scores
    density = max(density, 1 / group.size)
    keep = nw.RowWise()([group], {"a": scores.flatten()}, density)["a"].view(shape)
    assert keep.tolist() == by_hand(scores.tolist(), round(density * group.size))
    counts = keep.sum(1)
    assert int(counts.max() - counts.min()) <= 1


@settings(max_examples=80, deadline=None)
@given(st.tuples(st.integers(2, 5), st.integers(2, 6)), st.floats(0.1, 1.0), st.integers(0, 10_000))
def test_what_may_not_be_kept_leaves_its_places_to_the_others(shape, share, seed):
    group = row("a", math.prod(shape), shape=shape)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=generator)
    scores[torch.rand(shape, generator=generator) < 0.4] = -math.inf
    count = int(share * int((~scores.isneginf()).sum()))
    if count == 0:
        return
    keep = nw.RowWise()([group], {"a": scores.flatten()}, count / group.size)["a"].view(shape)
    assert keep.tolist() == by_hand(scores.tolist(), count)


LAYERS = {
    "linear": (nn.Linear(6, 5, bias=False), lambda w: w),
    "convolution": (nn.Conv2d(3, 4, (2, 3), bias=False), lambda w: w.flatten(1)),
    "transposed": (nn.ConvTranspose2d(3, 4, (2, 1), bias=False), lambda w: w.transpose(0, 1).flatten(1)),
    "recurrent": (nn.GRU(4, 2, bias=False), lambda w: w),
}


@pytest.mark.parametrize(("layer", "rows"), LAYERS.values(), ids=LAYERS.keys())
def test_rows_are_the_outputs_of_every_kind_of_layer(layer, rows):
    groups = nw.weights(layer)
    scores = distinct_scores(groups, 3)
    keep = nw.RowWise()(groups, scores, 0.5)
    for group in groups:
        weight = layer.get_parameter(group.name)
        mask = nw.tensor_masks([group], keep)[group.name]
        assert mask.shape == weight.shape
        wanted = by_hand(rows(scores[group.name].view(weight.shape)).tolist(), int(mask.sum()))
        assert rows(mask).tolist() == wanted


def test_the_inputs_of_a_layer_that_states_them_first_are_no_rows():
    pytest.importorskip("transformers")
    from transformers.pytorch_utils import Conv1D

    layer = Conv1D(8, 3)  # a weight of 3 inputs by 8 outputs
    (group,) = nw.weights(layer)
    keep = nw.RowWise()([group], {"weight": torch.arange(24.0)}, 1 / 3)
    assert nw.tensor_masks([group], keep)["weight"].sum(0).tolist() == [1] * 8


def test_blocks_are_ranked_within_their_row_of_tiles():
    groups = nw.blocks(nn.ConvTranspose2d(5, 4, 1, bias=False), (2, 2))  # 4 outputs, 5 inputs: two rows of three tiles
    keep = nw.RowWise()(groups, {"weight": torch.tensor([1.0, 2, 3, 10, 20, 30])}, 0.5)
    assert keep["weight"].int().tolist() == [0, 0, 1, 0, 1, 1]


def test_another_allocator_says_how_many_stay_in_a_layer():
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4))
    groups = nw.weights(model)
    scores = nw.score(nw.Magnitude(), model, groups)
    for inner in (nw.ErdosRenyiKernel(), nw.Global()):
        wanted, found = inner(groups, scores, 0.4), nw.RowWise(inner)(groups, scores, 0.4)
        assert [int(found[g.name].sum()) for g in groups] == [int(wanted[g.name].sum()) for g in groups]


def test_with_inputs_of_ones_wanda_ranks_by_rows_as_magnitude_does():
    model, ones = nn.Linear(12, 7), [torch.ones(4, 12)]
    groups = nw.weights(model)
    by_size, by_use = (nw.score(c, model, groups, ones) for c in (nw.Magnitude(), nw.Wanda()))
    assert torch.equal(nw.RowWise()(groups, by_size, 0.5)["weight"], nw.RowWise()(groups, by_use, 0.5)["weight"])


def test_the_published_rule_by_hand():
    # Two outputs, three inputs used by 1, 10 and 100: |w| times the norm, and the larger half of each row stays.
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[5.0, 4, 0.1, 0.001], [1.0, 0.2, 0.01, 0.1]]))
    used = torch.tensor([[1.0, 10, 100, 1000]])  # scores 5, 40, 10, 1 and 1, 2, 1, 100
    groups = nw.weights(model)
    keep = nw.RowWise()(groups, nw.score(nw.Wanda(), model, groups, [used]), 0.5)
    assert nw.zeroed(model, groups, keep).weight.count_nonzero(1).tolist() == [2, 2]
    assert keep["weight"].view(2, 4).int().tolist() == [[0, 1, 1, 0], [0, 1, 0, 1]]


def test_what_it_refuses():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    channels = nw.channels(model, torch.zeros(1, 4))
    with pytest.raises(GroupError, match="are channels, which lie along axes: RowWise ranks single weights"):
        nw.RowWise()(channels, distinct_scores(channels, 0), 0.5)
    with pytest.raises(BudgetError, match=r"keeps 2 of every 4 units; wrap the allocator: Patterned\(...\)"):
        patterns = nw.n_of_m(nn.Linear(4, 2), 2, 4)
        nw.RowWise()(patterns, distinct_scores(patterns, 0), 0.5)
    group = row("a", 4, shape=(2, 2))
    with pytest.raises(BudgetError, match="group 'a' is to keep 4 units, and fewer may be kept"):
        everything = nw.RowWise(lambda groups, scores, density: {"a": torch.ones(4, dtype=torch.bool)})
        everything([group], {"a": torch.tensor([1.0, -math.inf, 2.0, 3.0])}, 0.5)
