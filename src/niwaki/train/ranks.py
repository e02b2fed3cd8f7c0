"""Many processes, one set of masks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch import distributed as dist

from ..core.errors import RankError
from ..signals.processes import is_shared


def checksum(mask: Tensor) -> Tensor:
    """A number that tells two boolean tensors apart: an order-dependent sum modulo 2^64, the same on every device."""
    flat = mask.reshape(-1)
    place = torch.arange(1, flat.numel() + 1, device=flat.device, dtype=torch.int64)
    # Odd multiplier, wrapping arithmetic: a bijective scramble, so that neighbouring swaps do not cancel.
    scrambled = place * 0x5851F42D4C957F2D
    return ((scrambled ^ (scrambled >> 29)) * flat).sum()


def check_agreement(units: Mapping[str, Tensor], step: int) -> None:
    """Check that every process holds the same structure.

    Args:
        units: booleans per group name.
        step: for the message.

    Raises:
        RankError: on every process, if any two differ; names the first group that differs, and the processes.
    """
    if not is_shared(reduce=True):
        return
    mine = torch.stack([checksum(mask) for mask in units.values()])
    everyone = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, mine)
    table = torch.stack(everyone).cpu()
    for column, name in enumerate(units):
        odd = [rank for rank in range(table.shape[0]) if table[rank, column] != table[0, column]]
        if odd:
            raise RankError(
                f"after step {step} the processes hold different structures of group {name!r}: rank 0 and "
                f"rank(s) {odd} disagree; start all of them from the same weights and the same seed, "
                "and let their gradients be averaged before optimizer.step()"
            )
