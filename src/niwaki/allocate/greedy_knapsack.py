"""HALP's knapsack: chunks are items, and one is only taken after the better one of its group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import BudgetError
from .multiple_choice import Real, quantised

_CELLS = 1 << 30  # of one byte each


def _items(whole: Sequence[NDArray[np.int64]], values: Sequence[Real]) -> list[tuple[int, int, float]]:
    """Group, weight and value of every chunk above the first choice, best chunk first."""
    found = []
    for g, (cost, value) in enumerate(zip(whole, values, strict=True)):
        found += [(g, int(w), float(v)) for w, v in zip(np.diff(cost), np.diff(value), strict=True)]
    return found


def _backtrack(items: list[tuple[int, int, float]], taken: NDArray[np.bool_], left: int, groups: int) -> list[int]:
    places = [0] * groups
    for (group, weight, _), row in zip(reversed(items), taken[::-1], strict=True):
        if row[left]:
            places[group] += 1
            left -= weight
    return places


def choose_greedily(costs: Sequence[Real], values: Sequence[Real], capacity: float, steps: int) -> list[int] | None:
    """One choice per group, within the capacity, by a 0/1 knapsack over chunks that looks one item back.

    Items are visited group by group, the best chunk first. An item may be taken in a state only if it is the first of
    its group, or if the one before it was taken in the state that is left; it is taken if that raises the value, or at
    no weight. What one state of the table knows of a group is only its last choice, so that the result may fall short
    of the exact one. The first choice of every group is free to take and always taken.

    Args:
        costs: of each group's choices, from the fewest units to the most.
        values: of the same.
        capacity: what the choices may cost together.
        steps: into how many parts the room above the first choices is cut.

    Returns:
        The place of the choice in each row; none where the first choices do not fit.

    Raises:
        BudgetError: chunks and states that no memory holds.

    References:
        Shen, Yin, Molchanov, Mao, Liu, Alvarez 2022: Structural Pruning via Latency-Saliency Knapsack.

    >>> costs = [np.array([0.0, 2, 3]), np.array([1.0, 4])]
    >>> choose_greedily(costs, [np.array([0.0, 5, 6]), np.array([0.0, 4])], capacity=6, steps=100)
    [1, 1]
    """
    room = capacity - sum(float(row[0]) for row in costs)
    if room < 0:
        return None
    whole, size = quantised([row - row[0] for row in costs], room, steps)
    items = _items(whole, values)
    # A chunk that makes the network cheaper (a table need not rise) opens states above the capacity.
    states = size + sum(-w for _, w, _ in items if w < 0) + 1
    if len(items) * states > _CELLS:
        raise BudgetError(
            f"{len(items)} chunks times {states} states are too many for the greedy table; give step=, such as 8, for "
            "larger chunks, fewer steps=, or method='exact'"
        )
    best, taken = np.zeros(states), np.zeros((len(items), states), dtype=bool)
    for i, (group, weight, value) in enumerate(items):
        if abs(weight) >= states:  # it fits in no state
            continue
        fits = slice(max(weight, 0), states + min(weight, 0))
        left = slice(max(-weight, 0), states - max(weight, 0))
        gain = best[left] + value - best[fits]
        allowed = (gain > 0) | ((gain == 0) & (weight == 0))
        if i and items[i - 1][0] == group:
            allowed &= taken[i - 1, left]
        taken[i, fits] = allowed
        best[fits] += np.where(allowed, gain, 0.0)
    return _backtrack(items, taken, size, len(costs))
