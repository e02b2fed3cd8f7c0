"""Batches follow from seed and step alone, and variations are shifts and mirrors."""

import numpy as np
import pytest
import torch

from niwaki.app.batches import Batches, generator_for, varied
from niwaki.app.data import Data
from niwaki.core import TrainError


def numbered(count=10, crop=0):
    x = torch.arange(count * 3 * 16).reshape(count, 3, 4, 4).float()
    part = (x, torch.arange(count))
    return Data(part, part, part, tuple(map(str, range(count))), crop=crop, flip=crop > 0)


def test_an_epoch_sees_each_sample_once_in_an_order_of_its_own():
    batches = Batches(numbered(), 5, seed=1)
    orders = [[*batches.at(2 * epoch)[1].tolist(), *batches.at(2 * epoch + 1)[1].tolist()] for epoch in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    x, y = batches.at(0)
    assert torch.equal(x, numbered().train[0][y])


def test_the_incomplete_batch_is_left_out():
    batches = Batches(numbered(), 4, seed=1)
    assert batches.per_epoch == 2
    assert len({*batches.at(0)[1].tolist(), *batches.at(1)[1].tolist()}) == 8
    assert len(batches.at(2)[1]) == 4


def test_a_step_is_the_same_whenever_it_is_asked_for():
    straight = Batches(numbered(crop=1), 3, seed=4)
    seen = [straight.at(step) for step in range(9)]
    for step in (7, 0, 4, 8):
        x, y = Batches(numbered(crop=1), 3, seed=4).at(step)
        assert torch.equal(x, seen[step][0]) and torch.equal(y, seen[step][1])
    other = Batches(numbered(crop=1), 3, seed=5)
    assert any(not torch.equal(other.at(step)[1], seen[step][1]) for step in range(3))


def test_every_batch_is_varied_in_its_own_way():
    picture = torch.arange(48.0).reshape(1, 3, 4, 4).expand(12, -1, -1, -1)
    part = (picture, torch.zeros(12, dtype=torch.long))
    data = Data(part, part, part, ("a",), crop=2, flip=True)
    seen = [Batches(data, 6, seed).at(step)[0] for seed in (0, 1) for step in range(4)]
    assert len({x.numpy().tobytes() for x in seen}) == 8


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(TrainError, match="a batch of 11 is larger than the training part of 10 samples"):
        Batches(numbered(), 11, seed=0)


def _variants(picture, crop):
    """Every shift and mirror of one picture, by slicing with numpy."""
    padded = np.pad(picture, ((0, 0), (crop, crop), (crop, crop)))
    height, width = picture.shape[1:]
    found = {}
    for down in range(2 * crop + 1):
        for across in range(2 * crop + 1):
            cut = padded[:, down : down + height, across : across + width]
            found[cut.tobytes()] = (down, across, False)
            found[np.ascontiguousarray(cut[:, :, ::-1]).tobytes()] = (down, across, True)
    return found


def test_variations_are_all_shifts_and_mirrors_evenly():
    x = torch.randint(1, 256, (1, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    known = _variants(x[0].numpy(), 1)
    assert len(known) == 18
    made = varied(x.expand(1800, -1, -1, -1), generator_for(3), crop=1, flip=True)
    assert made.dtype == torch.uint8
    counts = dict.fromkeys(known.values(), 0)
    for picture in made.numpy():
        counts[known[picture.tobytes()]] += 1
    # 100 of each are expected, with a standard deviation of 9.7; five of them are allowed.
    assert all(51 <= count <= 149 for count in counts.values())


def test_without_flip_nothing_is_mirrored():
    x = torch.arange(12, dtype=torch.uint8).reshape(1, 1, 3, 4)
    made = varied(x.expand(50, -1, -1, -1), generator_for(3), crop=1, flip=False)
    known = _variants(x[0].numpy(), 1)
    assert not any(known[picture.tobytes()][2] for picture in made.numpy())


def test_generators_differ_by_every_number():
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    firsts = [float(torch.rand(1, generator=generator_for(*key))) for key in keys]
    assert len(set(firsts)) == 4
    assert firsts[0] == float(torch.rand(1, generator=generator_for(0, 0, 0)))
