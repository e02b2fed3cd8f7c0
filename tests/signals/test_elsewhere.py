"""Signals of a model on another device lie there, and are those of the CPU; batches may come from the CPU."""

import copy

import pytest
import torch
from torch import nn

from niwaki.criteria import GroupFisher
from niwaki.signals import KINDS, collect, score
from niwaki.structure import channels
from tests.elsewhere import SINGLE, Pretended, pretended

torch.manual_seed(0)
NET = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
UNITS = channels(NET, torch.zeros(2, 2, 6, 6))
BATCHES = [(torch.randn(5, 2, 6, 6), torch.randint(0, 3, (5,))) for _ in range(2)]
LOSS = nn.functional.cross_entropy


def found(model, kind):
    generator = torch.Generator().manual_seed(0)
    signals = collect(model, BATCHES, LOSS, needs={kind}, tensors=UNITS, generator=generator)
    return signals.of(kind, "0" if kind.startswith("gate") else "0.weight")


@pretended
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_signals_lie_where_the_model_lies(kind, place):
    here = found(copy.deepcopy(NET), kind)
    with Pretended():
        far = found(copy.deepcopy(NET).to(place), kind)
        assert far.device == place
        if kind in ("flow", "input_norm") and place == SINGLE:  # taken in float64 elsewhere
            torch.testing.assert_close(far.cpu().double(), here.double(), rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(far.cpu(), here)


@pretended
def test_scores_lie_where_the_model_lies(place):
    here = score(GroupFisher(), copy.deepcopy(NET), UNITS, BATCHES, LOSS)
    with Pretended():
        far = score(GroupFisher(), copy.deepcopy(NET).to(place), UNITS, BATCHES, LOSS)
        assert far.keys() == here.keys() and len(far) == 1
        assert all(far[name].device == place and torch.equal(far[name].cpu(), here[name]) for name in here)
