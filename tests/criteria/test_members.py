"""The elements of units: each counted once, and found in one pass over the slices, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from niwaki.core import Group, Slice
from niwaki.criteria import Magnitude
from niwaki.criteria.units import members
from niwaki.signals import collect


class Looked(tuple[Slice, ...]):
    """Slices that count how often they are looked through."""

    times = 0

    def __iter__(self) -> Iterator[Slice]:
        type(self).times += 1
        return super().__iter__()


def test_the_slices_of_a_group_are_looked_through_a_few_times_and_not_once_for_each():
    Looked.times = 0
    index = torch.arange(3).reshape(3, 1)
    slices = Looked(Slice(f"layer{n}.weight", (3, 2), dim=0, index=index) for n in range(200))
    values = {where.tensor: torch.full((3, 2), float(n)) for n, where in enumerate(list(slices))}
    Looked.times = 0
    found = list(members(Group("wide", 3, slices, kind="channel"), values.__getitem__))
    assert [int(part[0, 0]) for part in found] == list(range(200))
    assert Looked.times <= 4


def test_an_element_that_two_slices_give_to_one_unit_counts_once_among_tensors_that_have_one():
    # Unit u owns row u and column u of the square matrix, and row u of the other one.
    index = torch.arange(3).reshape(3, 1)
    torch.manual_seed(0)
    model = torch.nn.ModuleDict(
        {"square": torch.nn.Linear(3, 3, bias=False), "tall": torch.nn.Linear(2, 3, bias=False)}
    )
    square, tall = Slice("square.weight", (3, 3), dim=0, index=index), Slice("tall.weight", (3, 2), dim=0, index=index)
    columns = Slice("square.weight", (3, 3), dim=1, index=index)
    group = Group("g", 3, (square, tall, columns), kind="channel")
    scores = Magnitude(1)(group, collect(model, needs={"weight"}))
    a, b = model["square"].weight.detach().abs(), model["tall"].weight.detach().abs()
    expected = [a[u].sum() + b[u].sum() + a[:, u].sum() - a[u, u] for u in range(3)]
    torch.testing.assert_close(scores, torch.stack(expected))
