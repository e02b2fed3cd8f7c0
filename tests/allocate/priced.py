"""Small networks with costs, and the best choice for them, found by trying all."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from niwaki.core import Group
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost


def row_cost(prices: dict[str, list[float]], unit: str = "") -> NetworkCost:
    """A sum over groups; ``prices[name][k]`` is what ``k`` units cost. The first price must be zero."""
    assert all(rows[0] == 0 for rows in prices.values())
    layers = []
    for name, rows in prices.items():
        table = np.array(rows, dtype=float)
        axis = Axis(len(rows) - 1, {name: 1})
        layers.append(Layer(name, (axis,), lambda k, table=table: table[k.astype(int)]))
    return NetworkCost(tuple(layers), {name: len(rows) - 1 for name, rows in prices.items()}, unit=unit)


def chain_cost(widths: list[int], prices: list[float], unit: str = "") -> NetworkCost:
    """Matrices one after the other, each at its price times inputs times outputs. Inner widths are groups."""
    names = [f"g{i}" for i in range(len(widths) - 2)]
    axes = [Axis(widths[0]), *(Axis(w, {n: 1}) for w, n in zip(widths[1:-1], names, strict=True)), Axis(widths[-1])]
    layers = [
        Layer(f"l{i}", (axes[i], axes[i + 1]), lambda a, b, price=price: price * a * b)
        for i, price in enumerate(prices)
    ]
    return NetworkCost(tuple(layers), dict(zip(names, widths[1:-1], strict=True)), unit=unit)


def groups_for(cost: NetworkCost, **more):
    return [Group(name, size, (), **more) for name, size in cost.sizes.items()]


def random_scores(cost: NetworkCost, rng: np.random.Generator):
    return {n: torch.tensor(rng.exponential(size=s) * rng.exponential()) for n, s in cost.sizes.items()}


def worth(scores, keep) -> float:
    return math.fsum(float(scores[name][row].sum()) for name, row in keep.items())


def kept_counts(keep) -> dict[str, int]:
    return {name: int(row.sum()) for name, row in keep.items()}


def best_by_trying_all(scores, limits: list[Limit], allowed: dict[str, list[int]]) -> float:
    """The highest worth of any allowed counts within the limits; minus infinity where none are."""
    ranked = {name: sorted(row.tolist(), reverse=True) for name, row in scores.items()}
    best = -math.inf
    for tried in itertools.product(*allowed.values()):
        counts = dict(zip(allowed, tried, strict=True))
        if all(limit.cost(counts) <= limit.most for limit in limits):
            best = max(best, math.fsum(x for name, k in counts.items() for x in ranked[name][:k]))
    return best
