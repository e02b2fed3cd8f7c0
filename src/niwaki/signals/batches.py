"""What a batch may look like: tensors, in tuples, lists or mappings, with the samples along the first axis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from ..core.errors import SignalError

Batch = Any
"""A tensor, or tuples, lists and mappings of batches; everything else in it is handed on as it is."""


def check_batches(batches: object) -> None:
    """Check that something can be read batch by batch; ``None`` stands for no batches.

    Args:
        batches: what was given for them.

    Raises:
        SignalError: it is one batch, gives single samples, or cannot be read.
    """
    kind = type(batches).__name__
    pair = isinstance(batches, tuple) and batches and all(isinstance(one, Tensor) for one in batches)
    if pair or isinstance(batches, Tensor | Mapping | str):
        raise SignalError(f"batches= is a single one, a {kind}; give a list of batches, such as [(inputs, target)]")
    if isinstance(batches, Dataset) and not isinstance(batches, IterableDataset):
        remedy = "put a DataLoader around it (with batch_size=None if they are batches)"
        raise SignalError(f"batches= is a {kind}, which gives its samples one by one; {remedy}")
    if batches is not None and not (hasattr(batches, "__iter__") or hasattr(batches, "__getitem__")):
        raise SignalError(f"batches= cannot be read, it is of type {kind}; give a list of batches or a DataLoader")


def map_tensors(batch: Batch, change: Callable[[Tensor], Any]) -> Batch:
    """The same batch with every tensor replaced.

    Args:
        batch: the batch.
        change: called on each tensor, in order.

    Returns:
        A new batch; mappings come back as plain dictionaries.

    >>> map_tensors({"x": (torch.ones(2), "name")}, lambda t: 3 * t)
    {'x': (tensor([3., 3.]), 'name')}
    """
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: map_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(value, change) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(map_tensors(value, change) for value in batch)
    return batch


def tensors_in(batch: Batch) -> list[Tensor]:
    """All tensors of a batch, in order."""
    found: list[Tensor] = []
    map_tensors(batch, found.append)
    return found


def samples_in(batch: Batch) -> int:
    """How many samples a batch holds: the length of its first tensor.

    Args:
        batch: the batch.

    Returns:
        A positive number.

    Raises:
        SignalError: no tensor to count by, or no samples.
    """
    shaped = [tensor for tensor in tensors_in(batch) if tensor.dim()]
    if not shaped:
        raise SignalError(
            f"a batch of type {type(batch).__name__} holds no tensor whose first axis could count its samples; "
            "give tensors, or tuples, lists or dictionaries of them"
        )
    if not shaped[0].shape[0]:
        raise SignalError("a batch holds no samples; leave empty batches out")
    return shaped[0].shape[0]


def has_samples(tensor: Tensor, count: int) -> bool:
    """Whether a tensor lies along the samples of its batch (others, such as class weights, belong to all of them)."""
    return tensor.dim() > 0 and tensor.shape[0] == count


def take(batch: Batch, start: int, stop: int) -> Batch:
    """Some samples of a batch.

    Args:
        batch: the batch.
        start: the first sample.
        stop: one past the last.

    Returns:
        A batch of ``stop - start`` samples.

    >>> take((torch.arange(4), torch.arange(4) * 10), 1, 3)
    (tensor([1, 2]), tensor([10, 20]))
    """
    count = samples_in(batch)
    return map_tensors(batch, lambda t: t[start:stop] if has_samples(t, count) else t)


def on_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device."""
    return map_tensors(batch, lambda t: t.to(device))


def readable_again(batches: Iterable[Batch]) -> Iterable[Batch]:
    """Batches that can be read more than once: an iterator is read out and held, anything else is left as it is."""
    return list(batches) if iter(batches) is batches else batches
