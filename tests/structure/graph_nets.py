"""Small networks whose own code fixes sizes that no attribute controls, and what they are compared with."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional


def alternate(groups):
    return {g.name: torch.arange(g.size) % 2 == 0 for g in groups}


def zeroed(model, groups, keep):
    """A copy with every slice of the removed units at zero, by plain indexing."""
    model = copy.deepcopy(model)
    for group in groups:
        for where in group.slices:
            gone = where.index[~keep[group.name]].flatten()
            model.get_parameter(where.tensor).data.movedim(where.dim, 0)[gone] = 0
    return model


class Flat(nn.Module):
    """Flattened to a width that is written in the code."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8 * 64, 5)

    def forward(self, x):
        return self.last(self.first(x).relu().view(-1, 512))


class Halves(nn.Module):
    """Halves of the channels go different ways and are shuffled together, all by numbers in the code."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 1), nn.BatchNorm2d(16)
        self.branch, self.depth = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Linear(16, 3)

    def forward(self, x):
        left, right = self.norm(self.stem(x)).chunk(2, 1)
        both = torch.cat([left, self.depth(self.branch(right).relu_())], 1)
        mixed = both.view(x.shape[0], 2, 8, 4, 4).transpose(1, 2).reshape(x.shape[0], 16, 4, 4)
        return self.last(mixed.mean((2, 3)))


class Sizes(nn.Module):
    """Fills, expansions, repetitions, slices and pieces of written lengths."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(4, 8)
        self.shift = nn.Parameter(torch.randn(1, 8))
        self.last = nn.Linear(24, 3)

    def forward(self, x):
        b = x.shape[0]
        a, c = self.first(x), self.second(x)
        a = a + torch.zeros(b, 8, device=x.device) + x.new_full((b, 8), 0.0) * self.shift.expand(b, 8)
        front, back = a.split([3, 5], 1)
        a = torch.cat([front[:, :3], back[:, 0:5]], 1)
        c = torch.cat([c[:, 2:], c[:, :2].contiguous()], 1) * self.shift.repeat(b, 1)
        d = a.reshape(b, 2, 4).flatten(1)
        return self.last(torch.cat([a, c, d], 1))


class Groups(nn.Module):
    """Convolutions in groups and a norm over groups of channels, behind a flattening of fixed width."""

    def __init__(self):
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 12, 1), nn.Conv2d(12, 12, 3, padding=1, groups=4)
        self.norm, self.last = nn.GroupNorm(4, 12), nn.Linear(12 * 16, 3)

    def forward(self, x):
        return self.last(self.norm(self.conv(self.stem(x))).relu().view(x.shape[0], 192))


class Attention(nn.Module):
    """Heads whose number is written in the code, by plain products of matrices over batch times heads."""

    def __init__(self, fused=False):
        super().__init__()
        self.qkv, self.proj, self.fused = nn.Linear(12, 36), nn.Linear(12, 12), fused

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 4, 3).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            out = functional.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = (t.reshape(b * 4, n, 3) for t in (q, k, v))
            out = (torch.bmm(q, k.transpose(1, 2)) * 0.5).softmax(-1).bmm(v).reshape(b, 4, n, 3)
        return self.proj(out.transpose(1, 2).reshape(b, n, 12))
