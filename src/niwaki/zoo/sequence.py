"""A classifier of sequences around any layer that maps sequences to sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from .initial import initialise

Norm = Literal["layer", "batch"]


class SequenceBlock(nn.Module):
    """Norm, a sequence layer, GELU, a gated linear unit, dropout, and the way around them."""

    def __init__(self, layer: nn.Module, width: int, norm: Norm, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm == "layer" else nn.BatchNorm1d(width)
        self.ssm = layer
        self.mix = nn.Linear(width, 2 * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``[n, time, width]`` to the same shape."""
        if isinstance(self.norm, nn.BatchNorm1d):
            inner = self.norm(x.transpose(1, 2)).transpose(1, 2)
        else:
            inner = self.norm(x)
        out: Tensor = self.dropout(nn.functional.glu(self.mix(nn.functional.gelu(self.ssm(inner)))))
        return x + out


class SequenceNet(nn.Module):
    """A linear encoder or an embedding, blocks, a mean over time, a linear layer.

    Inputs are sequences ``[n, time, channels]``, pictures ``[n, channels, height, width]``, which are read pixel by
    pixel, or, with ``tokens``, whole numbers ``[n, time]``, of which 0 stands for the empty places at the end.
    """

    def __init__(
        self, make: Callable[[int], nn.Module], layers: int, width: int, channels: int, classes: int, tokens: int,
        *, norm: Norm = "layer", dropout: float = 0.0, generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels, self.tokens = channels, tokens
        self.encoder: nn.Module = nn.Embedding(tokens, width, padding_idx=0) if tokens else nn.Linear(channels, width)
        self.blocks = nn.ModuleList(SequenceBlock(make(i), width, norm, dropout) for i in range(layers))
        self.linear = nn.Linear(width, classes)
        initialise(self, generator)
        if isinstance(self.encoder, nn.Embedding):
            nn.init.normal_(self.encoder.weight, generator=generator)
            with torch.no_grad():
                self.encoder.weight[0].zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[n, classes]``."""
        if x.dim() == 4:
            x = x.flatten(2).transpose(1, 2)
        there = (x != 0).unsqueeze(-1).to(self.linear.weight.dtype) if self.tokens else None
        x = self.encoder(x)
        for block in self.blocks:
            x = block(x)
        mean = x.mean(1) if there is None else (x * there).sum(1) / there.sum(1).clamp(min=1)
        scores: Tensor = self.linear(mean)
        return scores

    def example(self) -> Tensor:
        """One input of the usual size."""
        if self.tokens:
            return (1 + torch.arange(64) % (self.tokens - 1)).unsqueeze(0)  # every token, and no empty place
        return torch.zeros(1, 64, self.channels)


def per_layer(states: int | tuple[int, ...] | list[int], layers: int) -> list[int]:
    """How many states each layer has.

    Args:
        states: one number for all, or one for each.
        layers: how many layers there are.

    Returns:
        One number a layer.

    Raises:
        ValueError: as many numbers as layers are needed, each positive.

    >>> per_layer(8, 2)
    [8, 8]
    """
    found = [states] * layers if isinstance(states, int) else list(states)
    if len(found) != layers or not found or min(found) < 1:
        raise ValueError(f"states={states!r} with layers={layers}: give one positive number, or one for each layer")
    return found
