"""Counts against those of models that were really shrunk."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.measure.counted import Counted

torchvision = pytest.importorskip("torchvision")

_MODELS = ["resnet18", "mobilenet_v2", "resnext50_32x4d", "densenet121", "vit_b_16"]


def _kept(groups: nw.Groups, seed: int) -> dict[str, torch.Tensor]:
    """A random number of units of each group, chosen at random."""
    drawn = torch.Generator().manual_seed(seed)
    keep = {}
    for group in groups:
        low, step = max(group.min_keep, 1), group.multiple_of
        count = int(torch.randint(low, group.size + 1, (1,), generator=drawn))
        count = max(count // step * step, -(-low // step) * step)
        keep[group.name] = torch.zeros(group.size, dtype=torch.bool)
        keep[group.name][torch.randperm(group.size, generator=drawn)[:count]] = True
    return keep


def _compare(
    found: Counted, groups: nw.Groups, keep: dict[str, torch.Tensor], small: nn.Module, x: torch.Tensor
) -> None:
    counts = {name: int(mask.sum()) for name, mask in keep.items()}
    stored = [*small.parameters(), *small.buffers()]
    assert found.parameters.cost(groups)(counts) == sum(p.numel() for p in small.parameters())
    assert found.bytes.cost(groups)(counts) == sum(t.numel() * t.element_size() for t in stored)
    assert found.macs.cost(groups)(counts) == pytest.approx(nw.count_flops(small, (x,)).total / 2, rel=1e-9)


@pytest.mark.parametrize("name", _MODELS)
def test_counts_are_those_of_the_shrunk_model(name: str) -> None:
    model, x = getattr(torchvision.models, name)(weights=None).eval(), torch.zeros(1, 3, 224, 224)
    groups = nw.discover(model, x)
    found = nw.counted(model, x)
    assert len(groups) > 10
    for seed in range(2):
        keep = _kept(groups, seed)
        _compare(found, groups, keep, nw.shrink(model, groups, keep), x)


def test_a_batch_and_a_type_count(monkeypatch: pytest.MonkeyPatch) -> None:
    # 8 * 4 + 4 * 2 weights; three samples; two bytes each and as many for the biases.
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2)).bfloat16()
    found = nw.counted(model, torch.zeros(3, 8, dtype=torch.bfloat16))
    assert found.macs.cost([]).dense == 3 * 40
    assert found.bytes.cost([]).dense == 2 * (40 + 6)
    assert found.parameters.cost([]).unit == "parameters"
