"""What the code computes and nobody uses runs in the smaller model all the same."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import niwaki as nw


def by_threes(x):
    n, c, h, w = x.shape
    return x.view(n, 3, c // 3, h, w)


IDLE = {
    "halves": lambda net, x: F.glu(x, 1),
    "thirds": lambda net, x: by_threes(x.relu()).sum(1),
    "a count": lambda net, x: x.view(x.shape[0], 12, -1),
    "a layer": lambda net, x: net.idle(x),
}
FREE = {
    "elementwise": lambda net, x: x.relu() + 1,
    "a sum": lambda net, x: x.sum(1),
    "a mask": lambda net, x: x > 0,
}


class Net(nn.Module):
    def __init__(self, idle, is_used=False):
        super().__init__()
        self.first, self.head, self.idle = nn.Conv2d(3, 12, 1), nn.Linear(12, 5), nn.Conv2d(12, 2, 1)
        self.do, self.is_used = idle, is_used

    def forward(self, x):
        x = self.first(x)
        done = self.do(self, x)
        found = self.head(x.mean((2, 3)))
        return found + done.sum() if self.is_used else found


@pytest.mark.parametrize("idle", IDLE)
def test_a_channel_that_idle_code_cannot_lose_stays(idle):
    groups = nw.channels(Net(IDLE[idle]).eval(), torch.randn(2, 3, 4, 4))
    assert not len(groups)
    assert "a smaller copy" in groups.left_out["first.weight"]


@pytest.mark.parametrize("idle", FREE)
def test_idle_code_that_minds_no_count_keeps_nobody_back(idle):
    model, example = Net(FREE[idle]).eval(), torch.randn(2, 3, 4, 4)
    (group,) = nw.channels(model, example)
    for count in range(1, 12):
        keep = {group.name: torch.arange(12) < count}
        small = nw.shrink(model, [group], keep)
        assert nw.verify(model, small, [group], keep, example)


def test_used_code_is_tied_and_not_tried_out():
    groups = nw.channels(Net(IDLE["halves"], is_used=True).eval(), torch.randn(2, 3, 4, 4))
    assert [group.size for group in groups] == [6]


def test_a_graph_goes_without_idle_code():
    model, example = Net(IDLE["thirds"]).eval(), torch.randn(2, 3, 4, 4)
    (group,) = nw.channels(model, example, graph=True)
    assert group.needs_graph and group.size == 12
    keep = {group.name: torch.arange(12) < 7}
    small = nw.shrink_graph(model, [group], keep, example)
    assert nw.verify(model, small, [group], keep, example)
