"""A plan that the clock refuses is followed by one it lets pass."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from niwaki import Macs, channels, counted, knapsack, latency
from niwaki.core import BudgetError
from niwaki.methods.not_slower import not_slower


class Crooked(nn.Module):
    """A network that is slow where its inner width is narrow, but not where it is very narrow."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x):
        width = self.first.weight.shape[0]
        time.sleep(0.003 if 8 < width < 16 else 0.001)
        return self.second(self.first(x).relu())


def _timed(models, inputs):
    return latency(models, inputs, rounds=4, warmup=1, threads=1, at_least=0.0, attempts=1)


def _planned(**more):
    model, x = Crooked(), torch.ones(2, 4)
    groups = channels(model, x)
    scores = {groups[0].name: torch.arange(16.0) + 1}
    check = not_slower(model, groups, x, timed=_timed, **more)
    keep = knapsack(groups, scores, Macs(0.65, counted(model, x).macs), check=check)
    assert model.first.weight.shape == (16, 4)
    return int(keep[groups[0].name].sum())


def test_a_slower_plan_is_refused_and_a_smaller_one_taken():
    # By the count, ten of sixteen units would fit; ten and nine are three times as slow as sixteen, eight are not.
    assert _planned(most=1.8) == 8
    assert _planned(most=10.0) == 10


def test_no_plan_is_fast_enough():
    with pytest.raises(BudgetError, match="check= refused 6 plans"):
        _planned(most=0.1)
