"""The exact multiple-choice knapsack: one choice per group, the most value within a capacity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
Solve = Callable[[Sequence[Real], Sequence[Real], float, int], list[int] | None]
"""Costs and values of each group's choices, the capacity, its steps -> one choice per group, or nothing that fits."""


_TABLE = 1 << 16  # numbers in a table, so that it stays in the cache


def quantised(costs: Sequence[Real], room: float, steps: int) -> tuple[list[Whole], int]:
    """Costs above zero as whole numbers, rounded up, so that what fits them fits the room.

    Whole costs with a common divisor that goes into the room at most ``steps`` times are not rounded at all.

    Args:
        costs: one row per group.
        room: what they share, at least zero.
        steps: into how many parts the room is cut.

    Returns:
        Whole costs, and the whole room.
    """
    every = np.concatenate(costs)
    if np.all(every == np.rint(every)) and np.abs(every).max(initial=0) < 2**53:
        divisor = int(np.gcd.reduce(every.astype(np.int64))) or 1
        if room // divisor <= steps:
            return [row.astype(np.int64) // divisor for row in costs], int(room // divisor)
    if room <= 0:
        return [np.ceil(np.sign(row)).astype(np.int64) for row in costs], 0
    # What does not fit at all is the same whatever it costs.
    return [np.ceil(np.minimum(row / room, 2.0) * steps).astype(np.int64) for row in costs], steps


def _front(costs: Whole, values: Real, room: int) -> Whole:
    """The choices that fit and beat every cheaper one, by rising cost; of equal ones the first."""
    order = np.lexsort((np.arange(len(costs)), -values, costs))
    order = order[costs[order] <= room]
    highest = np.maximum.accumulate(values[order])
    beats = np.concatenate([[True], values[order][1:] > highest[:-1]])[: len(order)]
    front: Whole = order[beats]
    return front


def _extended(best: Real, costs: Whole, values: Real) -> Real:
    """The most value at every capacity once one more group has its choice."""
    size, pad = len(best), int(costs[-1])
    shifted = np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(pad, -np.inf), best]), size)
    new = np.full(size, -np.inf)
    rows = max(1, _TABLE // size)
    for i in range(0, len(costs), rows):
        table = shifted[pad - costs[i : i + rows]]
        table += values[i : i + rows, None]
        np.maximum(new, table.max(axis=0), out=new)
    return new


def choose(costs: Sequence[Real], values: Sequence[Real], capacity: float, steps: int) -> list[int] | None:
    r"""One choice per group, of the most value together, within the capacity.

    .. math:: \max \sum_g v_g(k_g) \quad \text{subject to} \quad \sum_g c_g(k_g) \le C

    A dynamic program over the capacity: ``best[c] = max_k best[c - c_g(k)] + v_g(k)``, group by group. The room is what
    the capacity leaves above the cheapest choice of every group, cut into ``steps``; costs are rounded up to them.

    Args:
        costs: of each group's choices.
        values: of the same.
        capacity: what the choices may cost together.
        steps: into how many parts the room is cut.

    Returns:
        The place of the choice in each row; none where even the cheapest do not fit.

    >>> costs = [np.array([0.0, 2, 3]), np.array([1.0, 4])]
    >>> choose(costs, [np.array([0.0, 5, 6]), np.array([0.0, 4])], capacity=6, steps=100)
    [1, 1]
    """
    cheapest = [float(row.min()) for row in costs]
    room = capacity - sum(cheapest)
    if room < 0:
        return None
    whole, size = quantised([row - low for row, low in zip(costs, cheapest, strict=True)], room, steps)
    fronts = [_front(cost, value, size) for cost, value in zip(whole, values, strict=True)]
    best = [np.zeros(size + 1)]
    for cost, value, front in zip(whole, values, fronts, strict=True):
        best.append(_extended(best[-1], cost[front], value[front]))
    chosen, left = [], size
    for cost, value, front, before in reversed(list(zip(whole, values, fronts, best[:-1], strict=True))):
        fits = front[cost[front] <= left]
        # The sums that `best` was made of, so the highest is the same; of equal ones the cheapest.
        place = int(fits[np.argmax(before[left - cost[fits]] + value[fits])])
        chosen.append(place)
        left -= int(cost[place])
    return chosen[::-1]
