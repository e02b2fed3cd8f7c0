"""`gather` and `spread` against loops over single indices in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from niwaki.core import Slice, gather, spread


@st.composite
def tiled(draw):
    """A shape, an order of its axes and a tile that need not fit it."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.one_of(st.none(), st.permutations(range(len(shape))).map(tuple)))
    tile = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return Slice("w", shape, tile=tile, axes=axes)


@st.composite
def along(draw):
    """Units that own one or several positions along an axis; some positions may belong to nobody."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    dim = draw(st.integers(0, len(shape) - 1))
    length = shape[dim]
    each = draw(st.integers(1, length))
    size = draw(st.integers(1, length // each))
    order = draw(st.permutations(range(length)))
    index = torch.tensor(order[: size * each]).reshape(size, each)
    return Slice("w", shape, dim=dim, index=index)


def _owner(where, place):
    """Which unit an element belongs to and where it lies in the tile, by counting; ``None`` = nobody's."""
    if where.dim is not None:
        owners = [u for u, own in enumerate(where.index.tolist()) if place[where.dim] in own]
        return (owners[0], None) if owners else None
    axes = where.axes or tuple(range(len(where.shape)))
    moved = [place[a] for a in axes]
    sizes = [where.shape[a] for a in axes]
    if len(moved) == 1:
        moved, sizes = [0, *moved], [1, *sizes]
    row, column = moved[0], 0
    for position, size in zip(moved[1:], sizes[1:], strict=True):
        column = column * size + position
    tall, wide = where.tile
    tiles_in_a_row = math.ceil(math.prod(sizes[1:]) / wide)
    return (row // tall) * tiles_in_a_row + column // wide, (row % tall) * wide + column % wide


def _counted(where):
    return 1 + max(_owner(where, place)[0] for place in np.ndindex(where.shape))


@given(tiled())
def test_tiles_are_gathered_as_counted_by_hand(where):
    values = np.arange(1, 1 + math.prod(where.shape)).reshape(where.shape)
    expected = np.zeros((_counted(where), math.prod(where.tile)), dtype=int)
    for place in np.ndindex(where.shape):
        expected[_owner(where, place)] = values[place]
    assert gather(where, torch.from_numpy(values)).tolist() == expected.tolist()


@given(tiled())
def test_tiles_are_spread_as_counted_by_hand(where):
    size = _counted(where)
    expected = np.zeros(where.shape, dtype=int)
    for place in np.ndindex(where.shape):
        expected[place] = 10 + _owner(where, place)[0]
    laid = spread(where, torch.arange(10, 10 + size))
    assert laid.shape == where.shape
    assert laid.tolist() == expected.tolist()


@given(along())
def test_positions_are_gathered_as_counted_by_hand(where):
    values = np.arange(1, 1 + math.prod(where.shape)).reshape(where.shape)
    rows = [
        np.concatenate([np.take(values, position, axis=where.dim).ravel() for position in own])
        for own in where.index.tolist()
    ]
    assert gather(where, torch.from_numpy(values)).tolist() == np.stack(rows).tolist()


@given(along())
def test_positions_are_spread_and_the_rest_holds_one(where):
    expected = np.ones(where.shape, dtype=int)
    for place in np.ndindex(where.shape):
        found = _owner(where, place)
        expected[place] = 1 if found is None else 10 + found[0]
    laid = spread(where, torch.arange(10, 10 + len(where.index)))
    assert laid.shape == where.shape
    assert laid.tolist() == expected.tolist()


@given(st.one_of(tiled(), along()))
def test_a_value_spread_is_gathered_again(where):
    size = len(where.index) if where.dim is not None else _counted(where)
    values = torch.arange(1, 1 + size)
    # The largest, because elements cut off at a border are gathered as zeros.
    assert gather(where, spread(where, values).contiguous()).amax(1).tolist() == values.tolist()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.bool])
@pytest.mark.parametrize("where", [Slice("w", (3, 4), tile=(2, 3)), Slice("w", (3, 4), 1, torch.tensor([[0, 2]]))])
def test_the_dtype_stays(where, dtype):
    assert gather(where, torch.ones(3, 4, dtype=dtype)).dtype == dtype
    units = 4 if where.dim is None else 1
    assert spread(where, torch.ones(units, dtype=dtype)).dtype == dtype


def test_nothing_is_written_upon():
    tensor, values = torch.arange(12.0).reshape(3, 4), torch.zeros(2)
    where = Slice("w", (3, 4), 0, torch.tensor([[0], [2]]))
    gather(where, tensor).zero_()
    spread(where, values)
    assert tensor.tolist() == torch.arange(12.0).reshape(3, 4).tolist()
    assert values.tolist() == [0, 0]


@pytest.mark.accelerator
def test_the_device_stays():
    where = Slice("w", (3, 4), 1, torch.tensor([[0], [2]]))
    assert gather(where, torch.ones(3, 4, device="cuda")).is_cuda
    assert spread(where, torch.ones(2, device="cuda")).is_cuda
