"""Running statistics of norm layers, held still while the network explores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..core.names import bare_model, plain_name

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers in which norm layers average over batches, by qualified name (recognised by their usual names)."""
    return {
        plain_name(name): buffer
        for name, buffer in bare_model(model).named_buffers()
        if name.rpartition(".")[2] in _STATISTICS
    }


def copies(buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of the buffers as they are now."""
    return {name: buffer.clone() for name, buffer in buffers.items()}


def put_back(buffers: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Write saved values into the buffers."""
    with torch.no_grad():
        for name, value in saved.items():
            buffers[name].copy_(value)
