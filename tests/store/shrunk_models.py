"""Networks whose channels or heads are found, cut and stored: what `test_shrunk.py` and its new process both build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import niwaki as nw
from niwaki import zoo


class Attention(nn.Module):
    """A block of attention and a gated MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.gate, self.up, self.down = nn.Linear(16, 24), nn.Linear(16, 24), nn.Linear(24, 16)
        self.register_buffer("turn", torch.rand(16), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(x, x, x, need_weights=False)[0]
        hidden = self.norm(x) * self.turn
        mixed: Tensor = x + self.down(torch.sigmoid(self.gate(hidden)) * self.up(hidden))
        return mixed


MAKE: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor], Any]] = {
    "resnet20": (zoo.resnet20, lambda: torch.linspace(-1, 1, 3 * 3 * 8 * 8).reshape(3, 3, 8, 8), nw.channels),
    "gru": (lambda: zoo.char_gru(11, 16), lambda: torch.arange(10).reshape(2, 5), nw.channels),
    "attention, channels": (Attention, lambda: torch.linspace(-1, 1, 2 * 5 * 16).reshape(2, 5, 16), nw.channels),
    "attention, heads": (Attention, lambda: torch.linspace(-1, 1, 2 * 5 * 16).reshape(2, 5, 16), nw.heads),
}


def shrunk(name: str, seed: int) -> tuple[nn.Module, nn.Module]:
    """A dense model in eval mode and a smaller one, cut at random."""
    torch.manual_seed(seed)
    make, example, units = MAKE[name]
    dense = make().train()
    if name.endswith("resnet20"):
        dense(example())  # running statistics are not their first values
    groups = units(dense.eval(), example())
    keep = {}
    for group in groups:
        count = max(group.min_keep, group.size * 3 // 5 // group.multiple_of * group.multiple_of, group.multiple_of)
        keep[group.name] = torch.zeros(group.size, dtype=torch.bool)
        keep[group.name][torch.randperm(group.size)[:count]] = True
    return dense, nw.shrink(dense, groups, keep)
