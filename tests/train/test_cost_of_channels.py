"""The ledger of runs over channels: what it counts for the masked model are the FLOPs of the shrunk one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.measure import count_flops
from niwaki.structure import channels, shrink
from niwaki.train import Plan, Sparsifier
from niwaki.zoo import resnet20

from .channel_nets import SHAPE, narrow_resnet, residual
from .loops import OPTIMIZERS, batch, train
from .test_structured import cycles


class Depthwise(nn.Module):
    """Depthwise and pointwise convolutions, two parts of channels side by side, a linear layer on all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.deep = nn.Conv2d(10, 10, 3, padding=1, groups=10)
        self.point = nn.Conv2d(10, 7, 1)
        self.linear = nn.Linear(7 * 64, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(torch.cat([self.left(x), self.right(x)], 1))
        scores: torch.Tensor = self.linear(torch.relu(self.point(torch.relu(self.deep(x)))).flatten(1))
        return scores


def depthwise():
    torch.manual_seed(0)
    model = Depthwise().double()
    return model, channels(model, torch.zeros(2, *SHAPE, dtype=torch.float64))


def wide_resnet():
    model = resnet20(4, width=8).double()
    return model, channels(model, torch.zeros(2, *SHAPE, dtype=torch.float64))


@pytest.mark.parametrize("materialise", [False, True])
@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("make", [residual, narrow_resnet, wide_resnet, depthwise])
def test_a_step_costs_three_passes_of_the_shrunk_model(make, share, materialise):
    model, groups = make()
    keep = {g.name: torch.arange(g.size) % 4 >= round(4 * share) for g in groups}
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    x = batch(0, SHAPE)[0].double()
    small = count_flops(shrink(model, groups, keep), (x,)).total
    sparsifier = Sparsifier(model, groups, Plan(keep, materialise=materialise)).attach(optimizer)
    train(model, optimizer, range(3), SHAPE)
    assert small < 0.9 * count_flops(make()[0], (x,)).total
    assert sparsifier.ledger.flops == pytest.approx(3 * 3 * small, rel=1e-6)


def test_exploring_channels_costs_three_dense_passes_less_that_of_the_shrunk_model():
    model, groups = wide_resnet()
    dense = count_flops(model, (batch(0, SHAPE)[0].double(),)).total
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    sparsifier = Sparsifier(model, groups, cycles(groups)).attach(optimizer)
    train(model, optimizer, range(9), SHAPE)
    assert sparsifier.is_exploring
    small = count_flops(shrink(wide_resnet()[0], groups, sparsifier.keep), (batch(0, SHAPE)[0].double(),)).total
    entry = sparsifier.ledger.stages["explore"]
    assert entry.steps == 2 and entry.flops == pytest.approx(2 * (3 * dense - small), rel=1e-6)
