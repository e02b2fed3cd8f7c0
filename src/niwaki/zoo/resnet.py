"""Residual networks for 32 x 32 pictures, with shortcuts that hold no parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .initial import initialise


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.padding = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.stride > 1 or self.padding:
            # Option A of the paper: every second pixel, missing channels are zero, half of them on either side.
            x = x[:, :, :: self.stride, :: self.stride]
            x = nn.functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return torch.relu(out + x)


def _stage(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    first = _Block(inputs, outputs, stride)
    return nn.Sequential(first, *[_Block(outputs, outputs, 1) for _ in range(depth - 1)])


class ResNet(nn.Module):
    """A 3 x 3 stem, three stages of ``depth`` basic blocks at widths 1, 2 and 4, a mean, one linear layer."""

    def __init__(self, depth: int, classes: int, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, depth, 1)
        self.layer2 = _stage(width, 2 * width, depth, 2)
        self.layer3 = _stage(2 * width, 4 * width, depth, 2)
        self.linear = nn.Linear(4 * width, classes)
        initialise(self, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[n, classes]`` for pictures ``[n, 3, height, width]``."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        scores: Tensor = self.linear(x.mean((2, 3)))
        return scores

    def example(self) -> Tensor:
        """One input of the usual size."""
        return torch.zeros(1, 3, 32, 32)


def resnet20(classes: int = 10, width: int = 16, *, generator: torch.Generator | None = None) -> ResNet:
    """ResNet-20 for CIFAR: 269,722 parameters, 268,336 of them weights; 40.55 million multiplications a picture.

    Source: K. He, X. Zhang, S. Ren, J. Sun, Deep Residual Learning for Image Recognition, 2016, section 4.2, option A.

    Args:
        classes: how many.
        width: channels of the first stage, an even number.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.

    >>> sum(p.numel() for p in resnet20().parameters())
    269722
    """
    return ResNet(3, classes, width, generator)


def resnet32(classes: int = 10, width: int = 16, *, generator: torch.Generator | None = None) -> ResNet:
    """ResNet-32 for CIFAR: 464,154 parameters, 461,872 of them weights; otherwise as `resnet20`.

    Args:
        classes: how many.
        width: channels of the first stage, an even number.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return ResNet(5, classes, width, generator)


def resnet44(classes: int = 10, width: int = 16, *, generator: torch.Generator | None = None) -> ResNet:
    """ResNet-44 for CIFAR: 658,586 parameters, 655,408 of them weights; otherwise as `resnet20`.

    Args:
        classes: how many.
        width: channels of the first stage, an even number.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return ResNet(7, classes, width, generator)


def resnet56(classes: int = 10, width: int = 16, *, generator: torch.Generator | None = None) -> ResNet:
    """ResNet-56 for CIFAR: 853,018 parameters, 848,944 of them weights; otherwise as `resnet20`.

    Args:
        classes: how many.
        width: channels of the first stage, an even number.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return ResNet(9, classes, width, generator)
