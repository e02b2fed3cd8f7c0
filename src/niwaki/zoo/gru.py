"""A small recurrent language model over characters."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .initial import initialise


class CharGRU(nn.Module):
    """An embedding, one gated recurrent layer, one linear layer."""

    def __init__(self, classes: int, width: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.linear = nn.Linear(width, classes)
        initialise(self, generator)
        nn.init.normal_(self.embedding.weight, generator=generator)
        for parameter in self.gru.parameters():
            nn.init.uniform_(parameter, -1 / math.sqrt(width), 1 / math.sqrt(width), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``[n, time, classes]`` of the next character for characters ``[n, time]``."""
        scores: Tensor = self.linear(self.gru(self.embedding(x))[0])
        return scores

    def example(self) -> Tensor:
        """One input of the usual size."""
        return torch.zeros(1, 64, dtype=torch.long)


def char_gru(classes: int = 65, width: int = 128, *, generator: torch.Generator | None = None) -> CharGRU:
    """A character model with one gated recurrent layer: 115,777 parameters, 98,304 of them in the recurrent weights.

    Source: K. Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014.

    Args:
        classes: how many characters there are.
        width: of the embedding and the hidden state.
        generator: the source of the initial values; torch's global one if not given.

    Returns:
        The network.
    """
    return CharGRU(classes, width, generator)
