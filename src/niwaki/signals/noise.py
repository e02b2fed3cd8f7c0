"""Random numbers for criteria that want chance."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..core.errors import SignalError


def check_generator(generator: torch.Generator | None, kind: str) -> torch.Generator:
    """The generator, if random numbers can be drawn from it.

    Args:
        generator: the caller's.
        kind: the signal it is wanted for.

    Returns:
        The generator.

    Raises:
        SignalError: there is none, or it does not live on the CPU.
    """
    if generator is None:
        raise SignalError(f"the signal {kind!r} is random; pass generator=torch.Generator().manual_seed(0)")
    if generator.device.type != "cpu":
        raise SignalError(
            f"the signal {kind!r} is drawn on the CPU, so that every device sees the same numbers; the generator lives "
            f"on {generator.device}"
        )
    return generator


def uniform_noise(tensors: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Uniform numbers in [0, 1), one per element, float32: drawn on the CPU and moved to each tensor's device.

    Args:
        tensors: by name; drawn for in this order.
        generator: on the CPU.

    Returns:
        Numbers by name.
    """
    return {name: torch.rand(t.shape, generator=generator).to(t.device) for name, t in tensors.items()}
