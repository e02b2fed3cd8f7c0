"""Where two runs part: the first module in the order of execution, whatever the shapes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from niwaki.core.gaps import tensors_in
from niwaki.structure import shrink, verify
from tests.structure.declared import group, kept


def test_only_the_second_call_parts():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.same = nn.Linear(3, 3), nn.Linear(3, 3)
            self.offset = 0.0

        def forward(self, x):
            return self.same(self.same(self.first(x)) + self.offset)

    model = Twice()
    small = copy.deepcopy(model)
    small.offset = 1.0
    g = group(model, "a", 3, [("first.weight", 0), ("first.bias", 0), ("same.weight", 1)])
    verdict = verify(model, small, [g], {}, torch.randn(2, 3))
    assert "they part first in 'same' (Linear, call 2), by" in verdict.words


def test_sizes_that_no_cut_explains_are_compared_by_norms():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.flat, self.out = nn.Conv1d(2, 4, 1), nn.Flatten(), nn.Linear(12, 2)

        def forward(self, x):
            return self.out(self.flat(self.conv(x)).contiguous())

    torch.manual_seed(0)
    model = Flat()
    columns = torch.arange(12).reshape(4, 3)
    places = [("conv.weight", 0), ("conv.bias", 0), ("out.weight", 1, columns)]
    keep = {"a": kept(4, 0, 2)}
    groups = [group(model, "a", 4, places)]
    small = shrink(model, groups, keep)
    assert verify(model, small, groups, keep, torch.randn(2, 2, 3))

    class Doubled(nn.Flatten):
        def forward(self, x):
            return 2 * super().forward(x)[:, :5].repeat(1, 2)[:, :6]

    Doubled.__name__ = "Flatten"
    small.flat = Doubled()
    assert verify(model, small, groups, keep, torch.randn(2, 2, 3)).where == "flat"


class Doubled(nn.Module):
    """A size that no cut explains."""

    def forward(self, x):
        return torch.cat([x, x], 1)


class Halved(nn.Module):
    def forward(self, x):
        return x[:, : x.shape[1] // 2]


def test_a_doubt_is_forgotten_when_a_later_module_agrees():
    torch.manual_seed(0)
    layers = [nn.Linear(3, 6), nn.Sigmoid(), Doubled(), Halved(), nn.Linear(6, 2)]
    model = nn.Sequential(*layers)
    g = group(model, "a", 6, [("0.weight", 0), ("0.bias", 0), ("4.weight", 1)])
    keep = {"a": kept(6, 0, 2)}
    small = shrink(model, [g], keep)
    x = torch.randn(4, 3)
    assert verify(model, small, [g], keep, x)  # though sigmoid(0) = 0.5 makes the norms of module 2 differ
    with torch.no_grad():
        small[4].bias.add_(1.0)
    assert verify(model, small, [g], keep, x).where == "4"
    small[3] = nn.Identity()
    small[4] = nn.Linear(4, 2)
    verdict = verify(model, small, [g], keep, x)
    assert verdict.where == "3"
    assert "the masked model runs '3' (Halved) there" in verdict.words


def test_what_a_later_module_overwrites_is_compared_as_it_was():
    model = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(0.1, inplace=True), nn.Linear(6, 2))
    g = group(model, "a", 6, [("0.weight", 0), ("0.bias", 0), ("2.weight", 1)])
    keep = {"a": kept(6, 0, 2, 5)}
    small = shrink(model, [g], keep)
    small[1].negative_slope = 0.9
    assert verify(model, small, [g], keep, torch.randn(20, 3)).where == "1"


@dataclass
class Found:
    logits: Tensor
    more: tuple[Tensor, ...] | None = None


def test_outputs_of_any_structure():
    a, b = torch.zeros(1), torch.ones(1)
    assert tensors_in(Found(a, (b,))) == {"output.logits": a, "output.more[0]": b}
    assert tensors_in({"x": [a, {"y": b}], "z": None}) == {"output['x'][0]": a, "output['x'][1]['y']": b}
