"""What a network of given widths costs: a sum over layers, each a function of the lengths of its axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import BudgetError
from .group import Group

Numbers = NDArray[np.float64]
Price = Callable[..., Numbers]
"""One array of lengths per axis of a layer (they broadcast) -> what the layer costs at each."""


@dataclass(frozen=True)
class Axis:
    """One axis of a layer that falls with units.

    Args:
        size: its length in the dense model.
        units: for each group that lies along it, how many positions one removed unit takes away.
    """

    size: int
    units: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Layer:
    """One part of a model whose cost depends on widths.

    Args:
        name: of the module or parameter, for messages and reports.
        axes: such as inputs and outputs; a layer whose axes are the same (depthwise) has one.
        price: gives the cost for arrays of lengths, one per axis. A length of zero costs nothing, whatever it says.
    """

    name: str
    axes: tuple[Axis, ...]
    price: Price

    def at(self, lengths: Sequence[Any]) -> Numbers:
        """The cost at these lengths, one number or array per axis."""
        wide = np.broadcast_arrays(*(np.asarray(length, dtype=np.float64) for length in lengths))
        gone = np.any([length <= 0 for length in wide], axis=0)
        return np.where(gone, 0.0, self.price(*wide))


@dataclass(frozen=True, eq=False)
class NetworkCost:
    """The cost of a network as a function of how many units each group keeps.

    Args:
        layers: what is added up.
        sizes: units of each group in the dense model.
        fixed: what does not change with any group.
        unit: what the numbers count, for messages: ``s``, ``MACs``, ``parameters``, ``bytes``.

    >>> square = Layer("conv", (Axis(4), Axis(8, {"a": 1})), lambda c_in, c_out: c_in * c_out)
    >>> cost = NetworkCost((square,), {"a": 8}, fixed=2.0, unit="MACs")
    >>> cost.dense, cost({"a": 4}), cost.along("a", {"a": 4}).tolist()
    (34.0, 18.0, [2.0, 6.0, 10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0])
    """

    layers: tuple[Layer, ...]
    sizes: Mapping[str, int]
    fixed: float = 0.0
    unit: str = ""

    @cached_property
    def _touched(self) -> dict[str, list[Layer]]:
        found: dict[str, list[Layer]] = {name: [] for name in self.sizes}
        for layer in self.layers:
            for name in {name for axis in layer.axes for name in axis.units}:
                found[name].append(layer)
        return found

    @cached_property
    def dense(self) -> float:
        """What the whole network costs."""
        return self(self.sizes)

    def __call__(self, counts: Mapping[str, int]) -> float:
        """What is left costs, with these counts of kept units; a group without a count keeps all."""
        self._check(counts)
        return self.fixed + float(sum(layer.at(self.lengths(layer, counts)) for layer in self.layers))

    def per_layer(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The same, layer by layer, without what is fixed."""
        self._check(counts)
        return {layer.name: float(layer.at(self.lengths(layer, counts))) for layer in self.layers}

    def along(self, group: str, counts: Mapping[str, int]) -> Numbers:
        """What the network costs with 0, 1, ... all units of one group, the others at their counts.

        Args:
            group: the name of the group that varies.
            counts: kept units of the others.

        Returns:
            Costs ``[size + 1]``.
        """
        self._check(counts)
        ladder = np.arange(self.sizes[group] + 1)
        mine = self._touched[group]
        known = {id(layer) for layer in mine}
        rest = sum(layer.at(self.lengths(layer, counts)) for layer in self.layers if id(layer) not in known)
        varied: Mapping[str, Any] = {**counts, group: ladder}
        moving = sum((layer.at(self.lengths(layer, varied)) for layer in mine), np.zeros(len(ladder)))
        return self.fixed + float(rest) + moving

    def lengths(self, layer: Layer, counts: Mapping[str, Any]) -> list[Any]:
        """How long the axes of a layer are with these counts, numbers or arrays; a group without a count keeps all."""
        return [
            axis.size
            - sum(per * (self.sizes[name] - counts.get(name, self.sizes[name])) for name, per in axis.units.items())
            for axis in layer.axes
        ]

    def _check(self, counts: Mapping[str, int]) -> None:
        for name, count in counts.items():
            if name not in self.sizes or not 0 <= count <= self.sizes[name]:
                have = self.sizes.get(name, "no")
                raise BudgetError(
                    f"a cost was asked for {count} units of group {name!r}, which has {have} units here; "
                    "make the cost from the same groups"
                )


class Prices(Protocol):
    """What makes costs for groups: a table of measured latencies, or counted MACs, parameters, bytes."""

    def cost(self, groups: Sequence[Group]) -> NetworkCost:
        """The cost of the model as a function of how many units of these groups stay."""
        ...


@dataclass(frozen=True, eq=False)
class Limit:
    """A cost and the most it may be."""

    cost: NetworkCost = field(repr=False)
    most: float


class CostBudget(Protocol):
    """What a user asks for, such as half the latency; it becomes limits once the groups are known."""

    def limits(self, groups: Sequence[Group]) -> tuple[Limit, ...]:
        """The limits that all hold together."""
        ...


def axes_of(groups: Sequence[Group], tensor: str, shape: Sequence[int]) -> tuple[Axis, ...]:
    """How the axes of one tensor fall with units, one `Axis` per dimension.

    Args:
        groups: the groups; slices without a dimension (single weights, blocks) are passed over, since they remove
            nothing from a shape.
        tensor: its qualified name.
        shape: its dense shape.

    Returns:
        The axes, in the order of the dimensions.
    """
    units: list[dict[str, int]] = [{} for _ in shape]
    for group in groups:
        for where in (*group.slices, *group.buffers):
            if where.tensor == tensor and where.dim is not None and where.index is not None:
                found = units[where.dim]
                found[group.name] = found.get(group.name, 0) + where.index.shape[1]
    return tuple(Axis(length, held) for length, held in zip(shape, units, strict=True))
