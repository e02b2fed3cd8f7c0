"""Initial values, from an explicit generator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn


def initialise(
    model: nn.Module, generator: torch.Generator | None, *, mode: Literal["fan_in", "fan_out"] = "fan_in"
) -> None:
    """Normal weights with variance ``2 / fan`` for linear layers and convolutions, zero biases.

    Normalisation layers keep their ones and zeros.

    Source: K. He, X. Zhang, S. Ren, J. Sun, Delving Deep into Rectifiers, 2015, equations 10 and 14.

    Args:
        model: the model, changed in place.
        generator: the source of randomness; torch's global one if None.
        mode: whether the fan counts the inputs or the outputs of a unit.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
