"""What an optimizer still trains after half the channels of ResNet-18 are cut: here and with Torch-Pruning.

Both cut the same share of every layer in the middle of training with momentum. Counted are the parameters of the
smaller model that the optimizer holds, and those that its next step moves.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import torch
from record import write
from torch import nn
from torchvision.models import resnet18

import niwaki as nw


def step(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> None:
    model.zero_grad()
    model(images).square().mean().backward()
    optimizer.step()


def started(images: torch.Tensor) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = resnet18(weights=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step(model, optimizer, images)
    return model, optimizer


def ours(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> nn.Module:
    groups = nw.channels(model, images)
    scores = nw.score(nw.Magnitude(), model, groups)
    return nw.shrink(model, groups, nw.Uniform()(groups, scores, 0.5), optimizer=optimizer)


def theirs(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> nn.Module:
    import torch_pruning

    torch_pruning.pruner.MagnitudePruner(
        model,
        images,
        importance=torch_pruning.importance.MagnitudeImportance(p=1),
        pruning_ratio=0.5,
        ignored_layers=[model.fc],
    ).step()
    return model


def counted(cut: Any) -> dict[str, int]:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model, optimizer = started(images)
    small = cut(model, optimizer, images)
    live = dict(small.named_parameters())
    held = {id(p) for entry in optimizer.param_groups for p in entry["params"]}
    before = {name: p.detach().clone() for name, p in live.items()}
    step(small, optimizer, images)
    return {
        "parameters": len(live),
        "held by the optimizer": sum(id(p) in held for p in live.values()),
        "moved by its next step": sum(not torch.equal(p, before[name]) for name, p in live.items()),
        "numbers": sum(p.numel() for p in live.values()),
    }


if __name__ == "__main__":
    rows = {"niwaki": counted(ours), f"torch-pruning {version('torch-pruning')}": counted(theirs)}
    for name, row in rows.items():
        print(name, row)
    print(write("optimizer_after_cut", {"network": "torchvision resnet18", "seed": 0, "rows": rows}))
