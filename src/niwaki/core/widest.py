"""Wider floating point, to add up in: float32 at least, or the widest there is; not every device has float64."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def _has_doubles(device: torch.device) -> bool:
    # Graphics processors of Apple have none.
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except (TypeError, RuntimeError):  # which of them depends on the device
        return False
    return True


def widest_type(device: torch.device, *, is_complex: bool = False) -> torch.dtype:
    """The widest type of floating point on a device.

    Args:
        device: the device.
        is_complex: the complex type of that width.

    Returns:
        float64 or complex128; float32 or complex64 where there are none.

    >>> widest_type(torch.device("cpu")), widest_type(torch.device("cpu"), is_complex=True)
    (torch.float64, torch.complex128)
    """
    if _has_doubles(device):
        return torch.complex128 if is_complex else torch.float64
    return torch.complex64 if is_complex else torch.float32


def widest(tensor: Tensor) -> Tensor:
    """A tensor in the widest type of its device.

    >>> widest(torch.ones(2, dtype=torch.float16)).dtype, widest(torch.ones(2, dtype=torch.complex64)).dtype
    (torch.float64, torch.complex128)
    """
    return tensor.to(widest_type(tensor.device, is_complex=tensor.is_complex()))


def wide(tensor: Tensor) -> Tensor:
    """A tensor in float32 at least.

    >>> wide(torch.ones(2, dtype=torch.float16)).dtype, wide(torch.ones(2, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
