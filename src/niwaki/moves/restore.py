"""Restore: everything that was removed is active again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..core.contracts import Context, Criterion
from ..core.gates import GateMap, Gates, kept_gates


@dataclass(frozen=True)
class Restore:
    """Back to a dense network (the decompression of AC/DC)."""

    name: ClassVar[str] = "restore"
    explores: ClassVar[bool] = False
    criteria: ClassVar[tuple[Criterion, ...]] = ()

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """All gates open."""
        return {name: kept_gates(torch.ones_like(home)) for name, home in context.home.items()}
