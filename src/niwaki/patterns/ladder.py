"""The ladders of thresholds that a search climbs down, and Tarone's rule upon them.

A ladder is a falling sequence of thresholds ``alpha / capacity(i)``. A pattern stands on the lowest rung it can
reach: the last one with ``least_p <= alpha / capacity(i)``. Tarone's rule takes the first rung that holds no more
patterns, all lower ones included, than its capacity.

The functions are written so that they can also be compiled: plain numbers, each complete in itself.
"""

from __future__ import annotations

import math

# The exact ladder has a rung for every whole number up to here, then one for every 1/16384 more.
LINEAR = 1 << 20
RUNGS_EXACT = LINEAR + 500_000
RUNGS_GRID = 501


def capacity(rung: int, exact: bool, alpha: float) -> float:
    """How many patterns a rung may hold; its threshold is ``alpha`` divided by it.

    The exact ladder's are the whole numbers from 1 on; the grid's belong to the thresholds ``10^(-0.06 i)``.
    """
    if not exact:
        return alpha * math.pow(10.0, 0.06 * rung)
    if rung < 1048576:
        return rung + 1.0
    return 1048576.0 * math.exp((rung - 1048575) / 16384.0)


def rung_of(p: float, exact: bool, alpha: float) -> int:
    """The lowest rung that a least p-value reaches; -1 if it reaches none."""
    if not exact:
        return 500 if p < 1e-30 else int(math.floor(-math.log10(p) / 0.06))
    most = alpha / p if p > alpha * 1e-18 else 1e18
    if most < 1048577.0:
        return int(most) - 1
    return 1048575 + int(math.log(most / 1048576.0) * 16384.0)
