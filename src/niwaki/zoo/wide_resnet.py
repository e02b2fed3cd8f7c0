"""Wide residual networks for 32 x 32 pictures: normalisation and ReLU come before each convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .initial import initialise


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.bn1(x))
        out: Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        # Where the width changes, the shortcut starts after the shared activation, as in the authors' code.
        return out + (x if self.shortcut is None else self.shortcut(active))


def _stage(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    first = _Block(inputs, outputs, stride)
    return nn.Sequential(first, *[_Block(outputs, outputs, 1) for _ in range(depth - 1)])


class WideResNet(nn.Module):
    """A stem of 16 channels, three stages of ``depth`` blocks at 16, 32 and 64 times ``widen``, a linear layer."""

    def __init__(self, depth: int, widen: int, classes: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.layer1 = _stage(16, 16 * widen, depth, 1)
        self.layer2 = _stage(16 * widen, 32 * widen, depth, 2)
        self.layer3 = _stage(32 * widen, 64 * widen, depth, 2)
        self.bn1 = nn.BatchNorm2d(64 * widen)
        self.linear = nn.Linear(64 * widen, classes)
        initialise(self, generator, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[n, classes]`` for pictures ``[n, 3, height, width]``."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        scores: Tensor = self.linear(torch.relu(self.bn1(x)).mean((2, 3)))
        return scores

    def example(self) -> Tensor:
        """One input of the usual size."""
        return torch.zeros(1, 3, 32, 32)


def wide_resnet22_2(classes: int = 10, *, generator: torch.Generator | None = None) -> WideResNet:
    """WRN-22-2 for CIFAR, no dropout: 1,079,642 parameters, 1,076,912 of them weights.

    Source: S. Zagoruyko, N. Komodakis, Wide Residual Networks, 2016 (depth 22 is 6 n + 4 with n = 3).

    Args:
        classes: how many.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return WideResNet(3, 2, classes, generator)
