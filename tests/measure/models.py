"""Small networks whose products can be counted by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.stride = outputs // inputs
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        more = y.shape[1] - x.shape[1]
        return F.relu(y + F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, more)))


def resnet20():
    """The CIFAR network of He et al. 2016 with identity shortcuts."""
    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Block(a, b) for a, b in zip(widths, widths[1:], strict=False)]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


class Attention(nn.Module):
    """One head, by the fused operator."""

    def __init__(self, width):
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
        return self.out(F.scaled_dot_product_attention(q, k, v).squeeze(1))


class Tied(nn.Module):
    """A token model whose last layer is its embedding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.mix(self.mix(self.embed(tokens))))


class Untidy(nn.Module):
    """Branches on values, draws random numbers, and writes on itself whatever it can."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.calls = 0
        self.seen: list[torch.Tensor] = []
        self.cache = {"last": torch.zeros(1)}
        self.plain = torch.zeros(1)

    def forward(self, x):
        self.calls += 1
        self.seen.append(x)
        self.cache["last"].add_(1)
        self.cache["new"] = x
        self.plain.add_(1)
        self.left = x
        x.mul_(2)
        y = F.dropout(self.norm(self.linear(x)), 0.5, training=True)
        return y if y.sum() > 1e9 else self.norm(y)


class Masked(nn.Module):
    """A linear layer behind a mask that is a buffer, and a product of two parameters."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3))
        self.register_buffer("mask", torch.ones(5, 3))
        self.down, self.up = nn.Parameter(torch.randn(2, 5)), nn.Parameter(torch.randn(4, 2))

    def forward(self, x):
        return F.linear(F.linear(x, self.weight * self.mask), self.up @ self.down)
