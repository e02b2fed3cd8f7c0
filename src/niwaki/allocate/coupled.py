"""Choices whose costs depend on each other: the width a layer reads is the width another one makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.costs import Layer, Limit, NetworkCost
from .ladders import Ladder, Real

Places = list[int]


def _sum(cost: NetworkCost, layers: Sequence[Layer], counts: Mapping[str, Any], size: int) -> Real:
    """What some layers cost together, for numbers or rows of counts: ``[size]``."""
    total = np.zeros(size)
    for layer in layers:
        lengths = [np.full(size, length, dtype=np.float64) for length in cost.lengths(layer, counts)]
        # The question whether anything is left takes longer than most prices.
        total += layer.price(*lengths) if min(length.min() for length in lengths) > 0 else layer.at(lengths)
    return total


@dataclass(frozen=True, eq=False)
class Problem:
    """Which count to take of each ladder, within all limits. A choice is one place per ladder."""

    ladders: Sequence[Ladder]
    limits: Sequence[Limit]

    @cached_property
    def _layers(self) -> list[list[list[Layer]]]:
        """Per ladder and limit, the layers that depend on the group."""
        own: dict[str, list[list[Layer]]] = {g.group.name: [[] for _ in self.limits] for g in self.ladders}
        for i, limit in enumerate(self.limits):
            for layer in limit.cost.layers:
                for name in own.keys() & {name for axis in layer.axes for name in axis.units}:
                    own[name][i].append(layer)
        return [own[ladder.group.name] for ladder in self.ladders]

    @cached_property
    def beside(self) -> list[set[int]]:
        """Per ladder, the ladders whose costs depend on its count, itself among them."""
        held: dict[int, set[int]] = {}
        for i, rows in enumerate(self._layers):
            if len(self.ladders[i].counts) > 1:
                for layer in (layer for row in rows for layer in row):
                    held.setdefault(id(layer), set()).add(i)
        together = [{i} for i in range(len(self.ladders))]
        for several in held.values():
            for i in several:
                together[i] |= several
        return together

    @cached_property
    def most(self) -> Real:
        """The limits as numbers, ``[limits]``."""
        return np.array([limit.most for limit in self.limits])

    @property
    def is_separable(self) -> bool:
        """Whether the cost is a sum of one function per group."""
        return all(len(several) == 1 for several in self.beside)

    @cached_property
    def _rungs(self) -> list[tuple[str, list[int]]]:
        return [(g.group.name, g.counts.tolist()) for g in self.ladders]

    def counts(self, places: Places) -> dict[str, int]:
        """The units that each group keeps."""
        return {name: rungs[place] for (name, rungs), place in zip(self._rungs, places, strict=True)}

    def value(self, places: Places) -> float:
        """What the kept units are worth together."""
        return sum(float(g.values[p]) for g, p in zip(self.ladders, places, strict=True))

    def costs(self, places: Places) -> Real:
        """What is left costs, ``[limits]``, up to rounding."""
        counts = self.counts(places)
        return np.array([_sum(limit.cost, limit.cost.layers, counts, 1)[0] + limit.cost.fixed for limit in self.limits])

    def fits(self, places: Places) -> bool:
        """Whether every limit is held, exactly."""
        counts = self.counts(places)
        return all(limit.cost(counts) <= limit.most for limit in self.limits)

    def change(self, i: int, places: Places, low: int, high: int) -> Real:
        """What the costs change by if one ladder goes to the places from ``low`` to ``high``: ``[limits, places]``."""
        ladder, counts = self.ladders[i], self.counts(places)
        name, at = ladder.group.name, np.append(ladder.counts[low : high + 1], ladder.counts[places[i]])
        varied = {**counts, name: at}
        rows = [
            _sum(limit.cost, layers, varied, len(at))
            for limit, layers in zip(self.limits, self._layers[i], strict=True)
        ]
        return np.array([row[:-1] - row[-1] for row in rows])
