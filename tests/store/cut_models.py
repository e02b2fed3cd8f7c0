"""Dense models, and smaller ones that are built small and filled by indexing: nothing here uses the code under test."""

from __future__ import annotations

import copy

import torch
from torch import nn

from niwaki.core import Cut, mark_cut


class Net(nn.Module):
    """Convolution, batch norm, convolution, tied linear layers; a buffer that no state dict has."""

    def __init__(self, width: int = 6, inner: int = 5, classes: int = 4):
        super().__init__()
        self.width = width
        self.first = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, inner, 1)
        self.into = nn.Linear(inner, inner, bias=False)
        self.back = nn.Linear(inner, inner, bias=False)
        self.back.weight = self.into.weight
        self.head = nn.Linear(inner, classes)
        self.register_buffer("scale", torch.rand(1, width, 1, 1), persistent=False)
        self.frozen = nn.Parameter(torch.randn(1), requires_grad=False)

    def forward(self, x):
        x = self.norm(self.first(x)) * self.scale
        assert x.shape[1] == self.width
        x = self.second(torch.relu(x)).mean((2, 3))
        return self.head(self.back(torch.tanh(self.into(x)))) + self.frozen


FIRST, INNER = torch.tensor([0, 2, 3]), torch.tensor([0, 1, 2, 4])
_BY_FIRST = {"first.weight": 0, "first.bias": 0, "norm.weight": 0, "norm.bias": 0, "norm.running_mean": 0,
             "norm.running_var": 0, "scale": 1, "second.weight": 1}  # fmt: skip
_BY_INNER = {"second.weight": 0, "second.bias": 0, "into.weight": (0, 1), "head.weight": 1}


def net_cut() -> Cut:
    """What `small_net` keeps of a default `Net`."""
    kept: dict[str, dict[int, torch.Tensor]] = {}
    for table, index in ((_BY_FIRST, FIRST), (_BY_INNER, INNER)):
        for name, axes in table.items():
            for axis in axes if isinstance(axes, tuple) else (axes,):
                kept.setdefault(name, {})[axis] = index
    sizes = {
        "width": 3, "first.out_channels": 3, "norm.num_features": 3, "second.in_channels": 3, "second.out_channels": 4,
        "into.in_features": 4, "into.out_features": 4, "back.in_features": 4, "back.out_features": 4,
        "head.in_features": 4,
    }  # fmt: skip
    dense = Net()
    held = {**dict(dense.named_parameters()), **dict(dense.named_buffers())}
    return Cut(kept, sizes, {name: tuple(held[name].shape) for name in kept})


def trained(model: nn.Module) -> nn.Module:
    """The model after a few steps, so that no buffer has its first value."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 3, 6, 6)).square().mean().backward()
        optimizer.step()
    return model


def small_net(dense: nn.Module | None = None) -> nn.Module:
    """A smaller `Net`, made by its constructor and filled from a dense one."""
    dense = trained(Net()) if dense is None else dense
    small = Net(3, 4)
    cut = net_cut()
    held = {**dict(dense.named_parameters()), **dict(dense.named_buffers())}
    with torch.no_grad():
        for name, tensor in [*small.named_parameters(), *small.named_buffers()]:
            part = held[name]
            for axis, index in cut.kept.get(name, {}).items():
                part = part.index_select(axis, index)
            tensor.copy_(part)
    mark_cut(small, cut)
    return small.eval()


def bits(model: nn.Module) -> dict[str, tuple[torch.dtype, tuple[int, ...], bytes]]:
    """Every parameter and buffer, to the last bit."""
    held = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    return {
        name: (t.dtype, tuple(t.shape), t.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        for name, t in held
    }


def snapshot(model: nn.Module) -> tuple[object, ...]:
    """All that loading could change in a model."""
    attributes = [
        (name, key, value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, int | tuple | str)
    ]
    return bits(copy.deepcopy(model)), attributes
