"""Several moves at one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from ..core.contracts import Context, Move
from ..core.gates import GateMap


def play(moves: Sequence[Move], gates: GateMap, context: Context) -> tuple[GateMap, dict[str, Tensor]]:
    """Play moves one after the other, each on the gates of the one before.

    Args:
        moves: at least one.
        gates: the gates now.
        context: what the first move may look at.

    Returns:
        The gates after the last move, and the structure that would be delivered then: what the gates let through, or,
        while a move explores, what it was before.
    """
    for move in moves:
        gates = move(gates, context)
        if not move.explores:
            context = replace(context, home={name: gate.forward for name, gate in gates.items()})
    return gates, dict(context.home)
