"""Tensors without their zeros: which elements are there, as compressed bits, and their values."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import StoreError

_THERE, _VALUES = "@there", "@values"
_AS_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _there(tensor: Tensor) -> Tensor:
    # By their bits: minus zero is a value like any other, or what comes back would not be what went in.
    return tensor.reshape(-1).view(_AS_BITS[tensor.element_size()]) != 0


def _packed(there: Tensor) -> Tensor:
    bits = zlib.compress(np.packbits(there.numpy(), bitorder="little").tobytes())
    return torch.frombuffer(bytearray(bits), dtype=torch.uint8)


def without_zeros(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Split each tensor that gets smaller by it into the places of its elements that are not zero and their values.

    Args:
        tensors: by name, on the CPU and contiguous.

    Returns:
        What to store, under names of its own where a tensor was split; and the shapes of those that were.

    >>> stored, shapes = without_zeros({"w": torch.zeros(100, 100).fill_diagonal_(2)})
    >>> sorted(stored), shapes, stored["w@values"].shape
    (['w@there', 'w@values'], {'w': [100, 100]}, torch.Size([100]))
    """
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for name, tensor in tensors.items():
        parts = {name: tensor}
        if tensor.numel():
            there = _there(tensor)
            split = {f"{name}{_THERE}": _packed(there), f"{name}{_VALUES}": tensor.reshape(-1)[there]}
            if sum(part.nbytes for part in split.values()) < tensor.nbytes and not split.keys() & tensors.keys():
                parts, shapes[name] = split, list(tensor.shape)
        stored |= parts
    return stored, shapes


def with_zeros(stored: Mapping[str, Tensor], shapes: Any) -> dict[str, Tensor]:
    """The inverse of `without_zeros`.

    Args:
        stored: the tensors that were read.
        shapes: of those that were split, as they were written down.

    Returns:
        All tensors, to the last bit what they were.

    Raises:
        StoreError: the parts of a tensor do not fit together. Nothing larger than what is stored can tell of is made.

    >>> matrix = torch.eye(100)
    >>> torch.equal(with_zeros(*without_zeros({"w": matrix}))["w"], matrix)
    True
    """
    if not isinstance(shapes, dict):
        raise StoreError(f"the shapes of tensors without zeros are {str(shapes)[:40]!r}")
    tensors = dict(stored)
    for name, shape in shapes.items():
        there, values = (tensors.pop(f"{name}{ending}", None) for ending in (_THERE, _VALUES))
        if there is None or values is None or not _is_shape(shape):
            raise StoreError(f"the parts of {name!r}, of shape {str(shape)[:40]}, are not all there")
        tensors[name] = _joined(name, there, values, shape)
    return tensors


def _is_shape(shape: object) -> bool:
    return isinstance(shape, list) and all(type(size) is int and 0 < size < 2**62 for size in shape)


def _joined(name: str, there: Tensor, values: Tensor, shape: list[int]) -> Tensor:
    count = math.prod(shape)
    length = (count + 7) // 8
    try:
        unpacking = zlib.decompressobj()
        bits = unpacking.decompress(there.numpy().tobytes(), min(length, 2**62) + 1)
    except (zlib.error, TypeError, RuntimeError) as error:
        raise StoreError(f"the places of {name!r} cannot be read ({error})") from error
    if len(bits) != length or not unpacking.eof:
        raise StoreError(f"the places of {name!r} are not those of a tensor of shape {shape}")
    mask = torch.from_numpy(np.unpackbits(np.frombuffer(bits, np.uint8), count=count, bitorder="little")).bool()
    if values.shape != (int(mask.count_nonzero()),):
        raise StoreError(f"{name!r} has {int(mask.count_nonzero())} places for {values.numel()} values")
    tensor = torch.zeros(count, dtype=values.dtype, device="cpu")
    tensor[mask] = values
    return tensor.reshape(shape)
