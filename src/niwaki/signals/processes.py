"""Sums over all processes of a run; with one process, nothing happens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from ..core.errors import RankError


def is_shared(reduce: bool) -> bool:
    """Whether there is more than one process to sum over, and the caller wants it."""
    return reduce and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def summed(sums: Mapping[str, Tensor], count: int, *, shared: bool) -> tuple[Mapping[str, Tensor], int]:
    """Sums and their count, over all processes.

    Only additive numbers may come here: whoever wants a square or an absolute value takes it afterwards.

    Args:
        sums: by tensor name, the same names on every process; overwritten.
        count: how many terms went in.
        shared: whether to sum over processes at all.

    Returns:
        The sums and the count.
    """
    if not shared:
        return sums, count
    for value in sums.values():
        dist.all_reduce(value)
    total = torch.tensor(count, dtype=torch.int64, device=next(iter(sums.values())).device)
    dist.all_reduce(total)
    return sums, int(total)


def in_step(batches: Iterable[Any], device: torch.device, *, shared: bool) -> Iterator[Any]:
    """Batches, read by all processes side by side.

    Args:
        batches: this process's own.
        device: where a message to the others is put.
        shared: whether there are others.

    Yields:
        The batches.

    Raises:
        RankError: on every process, when some have a further batch and others have none.
    """
    if not shared:
        yield from batches
        return
    reader = iter(batches)
    end = object()
    while True:
        batch = next(reader, end)
        having = torch.tensor(int(batch is not end), device=device)
        dist.all_reduce(having)
        if not int(having):
            return
        if int(having) < dist.get_world_size():
            raise RankError(
                f"{int(having)} of {dist.get_world_size()} processes have a further batch and the others have none; "
                "give every process the same number of batches (DistributedSampler, or drop_last=True)"
            )
        yield batch
