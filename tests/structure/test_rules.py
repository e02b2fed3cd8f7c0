"""Discovery on small networks of every kind: the groups are those found by hand, and cutting is masking."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.structure import shrink
from niwaki.structure.discover import discover
from tests.structure.nets import described, example_of, random_keep, randomised, run, wanted_shapes, zeroed
from tests.structure.rows_frozen import FROZEN
from tests.structure.rows_layers import LAYERS
from tests.structure.rows_shapes import SHAPES
from tests.structure.rows_values import VALUES

ROWS = {**LAYERS, **SHAPES, **VALUES, **FROZEN}
every_row = pytest.mark.parametrize("name", ROWS)


def found_in(name):
    row = ROWS[name]
    torch.manual_seed(0)
    model, example = randomised(row.make()), example_of(row.shape)
    return row, model, example, discover(model, example, inexact=row.inexact)


def sorted_words(groups):
    return {name: (kind, size, " ".join(sorted(words.split()))) for name, (kind, size, words) in groups.items()}


@every_row
def test_the_groups_are_those_found_by_hand(name):
    row, model, _, groups = found_in(name)
    assert described(groups) == sorted_words(row.groups)
    cut = {where.tensor for group in groups for where in group.slices}
    assert set(groups.left_out) == {name for name, _ in model.named_parameters()} - cut
    for tensor, reason in row.frozen.items():
        assert reason in groups.left_out[tensor]
    for group in groups:
        assert group.exact != row.inexact
        for where in (*group.slices, *group.buffers):
            assert where.index.shape[0] == group.size
            assert where.shape == tuple(model.state_dict()[where.tensor].shape)


@every_row
def test_cutting_is_masking(name):
    row, model, example, groups = found_in(name)
    dense = run(model, example)
    for seed in range(4):
        keep = random_keep(groups, seed)
        if not len(groups):
            continue
        small = shrink(model, groups, keep)
        state = {**dict(small.named_parameters()), **dict(small.named_buffers())}
        assert {name: tuple(t.shape) for name, t in state.items()} == wanted_shapes(model, groups, keep)
        got, wanted = run(small, example), run(zeroed(model, groups, keep), example)
        assert [x.shape for x in got] == [x.shape for x in dense]
        if seed == 0:  # one unit of each is left: if that changes nothing, nothing is tested
            assert any(float((a - b).abs().max()) > 1e-6 for a, b in zip(wanted, dense, strict=True))
        if not row.inexact:
            for a, b in zip(got, wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


INEXACT = {
    "a norm over units": (nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2)), "a norm runs over it"),
    "a softmax over units": (nn.Sequential(nn.Linear(5, 6), nn.Softmax(-1), nn.Linear(6, 2)), "_softmax runs over it"),
    "one group of a norm": (nn.Sequential(nn.Linear(5, 6), nn.GroupNorm(1, 6), nn.Linear(6, 2)), "a norm runs over it"),
}


@pytest.mark.parametrize("name", INEXACT)
def test_inexact_groups_are_given_if_asked_for(name):
    net, why = INEXACT[name]
    model, x = randomised(net), torch.randn(3, 5).double()
    groups = discover(model, x)
    assert len(groups) == 0
    assert f"{why} (inexact=True allows it)" in groups.left_out["0.weight"]
    (group,) = discover(model, x, inexact=True)
    assert (group.name, group.size, group.exact) == ("0", 6, False)
    keep = {"0": torch.arange(6) < 4}
    small = shrink(model, [group], keep)
    assert small[0].weight.shape == (4, 5) and small(x).shape == (3, 2)
    assert not torch.allclose(small(x), zeroed(model, [group], keep)(x))
