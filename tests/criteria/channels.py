"""A network whose channels are declared by hand, and their numbers by NumPy."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from niwaki.core import Group, Slice

LOSS = nn.functional.cross_entropy


def each(size: int, width: int = 1) -> torch.Tensor:
    """Positions of units that own `width` neighbours each."""
    return torch.arange(size * width).reshape(size, width)


class ConvNet(nn.Module):
    """Two convolutions with norms; the second feeds a linear layer by four positions of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.norm_one = nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5)
        self.two, self.norm_two = nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm_one(self.one(x)))
        out: torch.Tensor = self.head(torch.relu(self.norm_two(self.two(x))).flatten(1))
        return out


def channel_group(name: str, size: int, *parts: tuple[str, tuple[int, ...], int, int, str]) -> Group:
    """Slices from (tensor, shape, axis, positions of each unit, role)."""
    slices = tuple(Slice(t, shape, dim=dim, index=each(size, k), role=role) for t, shape, dim, k, role in parts)
    return Group(name, size, slices, kind="channel")


def conv_net() -> tuple[ConvNet, list[Group], list[tuple[torch.Tensor, torch.Tensor]]]:
    """The network, its two groups, and two batches."""
    torch.manual_seed(0)
    model = ConvNet()
    for norm in (model.norm_one, model.norm_two):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, 0.2, 1.0)
        norm.momentum = 1.0  # statistics of the first batch, so that no channel is dead behind its ReLU
    one = channel_group(
        "one", 5,
        ("one.weight", (5, 2, 3, 3), 0, 1, "out"), ("one.bias", (5,), 0, 1, "bias"),
        ("norm_one.weight", (5,), 0, 1, "scale"), ("norm_one.bias", (5,), 0, 1, "shift"),
        ("two.weight", (4, 5, 3, 3), 1, 1, "in"),
    )  # fmt: skip
    two = channel_group(
        "two", 4,
        ("two.weight", (4, 5, 3, 3), 0, 1, "out"), ("two.bias", (4,), 0, 1, "bias"),
        ("norm_two.weight", (4,), 0, 1, "scale"), ("norm_two.bias", (4,), 0, 1, "shift"),
        ("head.weight", (3, 16), 1, 4, "in"),
    )  # fmt: skip
    batches = [(torch.randn(n, 2, 4, 4), torch.randint(0, 3, (n,))) for n in (6, 4)]
    model.train()
    model(batches[0][0])
    return model.eval(), [one, two], batches


def numbers_of(group: Group, unit: int, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """All numbers of a unit in one row, by slicing each tensor with NumPy."""
    rows = [np.take(tensors[s.tensor], s.index[unit].numpy(), axis=s.dim).reshape(-1) for s in group.slices]
    return np.concatenate(rows)


def gradients_of_loss(model: nn.Module, inputs: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    """By backward, in float64."""
    model.zero_grad()
    LOSS(model(inputs), target).backward()
    return {name: p.grad.double().numpy() for name, p in model.named_parameters()}
