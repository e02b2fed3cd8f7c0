"""Weight shapes and positions per map of published networks, written down by hand, and groups made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from niwaki.core import Group, Slice


@dataclass(frozen=True)
class Layer:
    name: str
    shape: tuple[int, ...]
    positions: int = 1

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def macs(self):
        return self.size * self.positions


def lenet():
    return [Layer("fc1", (300, 784)), Layer("fc2", (100, 300)), Layer("fc3", (10, 100))]


def resnet20():
    layers = [Layer("conv1", (16, 3, 3, 3), 32 * 32)]
    channels = 16
    for stage, (width, side) in enumerate([(16, 32), (32, 16), (64, 8)]):
        for i in range(6):
            layers.append(Layer(f"stage{stage}.{i}", (width, channels, 3, 3), side * side))
            channels = width
    return [*layers, Layer("fc", (10, 64))]


def resnet50():
    """He et al. 2016, with the stride in the 3x3 convolution (4.09 G MACs at 224 x 224)."""
    layers = [Layer("conv1", (64, 3, 7, 7), 112 * 112)]
    channels, side = 64, 56
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            halved = stage > 0 and block == 0
            after = side // 2 if halved else side
            name = f"layer{stage + 1}.{block}"
            layers.append(Layer(f"{name}.conv1", (width, channels, 1, 1), side * side))
            layers.append(Layer(f"{name}.conv2", (width, width, 3, 3), after * after))
            layers.append(Layer(f"{name}.conv3", (4 * width, width, 1, 1), after * after))
            if block == 0:
                layers.append(Layer(f"{name}.down", (4 * width, channels, 1, 1), after * after))
            channels, side = 4 * width, after
    return [*layers, Layer("fc", (1000, 2048))]


def groups_of(layers: Iterable[Layer]):
    return [Group(layer.name, layer.size, (Slice(layer.name, layer.shape),)) for layer in layers]


def row(name: str, size: int, *, shape: tuple[int, ...] | None = None, **more):
    """One group of so many units, over a tensor of that shape."""
    return Group(name, size, (Slice(name, shape or (size,)),), **more)


def distinct_scores(groups: Iterable[Group], seed: int = 0):
    """Scores without ties, also between groups."""
    groups = list(groups)
    generator = torch.Generator().manual_seed(seed)
    ranks = torch.randperm(sum(g.size for g in groups), generator=generator).float()
    return dict(zip([g.name for g in groups], torch.split(ranks, [g.size for g in groups]), strict=True))
