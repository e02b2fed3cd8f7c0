"""From measured operators and groups to the cost of a network by its widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.costs import Axis, Layer, NetworkCost, Numbers, axes_of
from ..core.group import Group
from .grid import Grid
from .widths import Form, Forms

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Row:
    """One call of an operator in a model.

    Args:
        name: for people.
        key: of what was measured.
        sizes: of its variables in the dense model.
        forms: what each variable hangs on.
        groups: of a convolution in groups that is not depthwise, else one.
        widths: what the inputs and outputs of such a convolution hang on, all groups together.
    """

    name: str
    key: str
    sizes: tuple[int, ...]
    forms: tuple[Forms, ...]
    groups: int = 1
    widths: tuple[Forms, ...] = ()


class Units:
    """How many positions of a parameter's axis each unit takes away."""

    def __init__(self, groups: Sequence[Group], shapes: Shapes) -> None:
        touched = {where.tensor for group in groups for where in (*group.slices, *group.buffers)}
        self._axes = {name: axes_of(groups, name, shapes[name]) for name in shapes if name in touched}

    def _of(self, form: Form) -> dict[str, float]:
        total: dict[str, float] = {}
        for name, dim, each in form:
            if name in self._axes:
                for group, units in self._axes[name][dim].units.items():
                    total[group] = total.get(group, 0.0) + each * units
        return total

    def find(self, forms: Forms) -> dict[str, int]:
        """The units of the first candidate by which every unit takes away whole positions."""
        for form in forms:
            total = self._of(form)
            whole = {group: round(units) for group, units in total.items()}
            if total and all(abs(total[group] - units) < 1e-6 and units > 0 for group, units in whole.items()):
                return whole
        return {}


def axes_for(row: Row, units: Units) -> tuple[Axis, ...]:
    """The variables of an operator as axes that fall with units."""
    return tuple(Axis(size, units.find(forms)) for size, forms in zip(row.sizes, row.forms, strict=True))


def _grouped(row: Row, grid: Grid, units: Units) -> Layer | None:
    """A convolution in groups: whole groups that go take their share of the cost; what goes within each narrows it."""
    inner, outer = axes_for(row, units)
    inputs, outputs = (units.find(forms) for forms in row.widths)
    whole = {name: per // row.sizes[1] for name, per in outputs.items() if name in inputs and name not in inner.units}
    outer = Axis(outer.size, {name: per for name, per in outer.units.items() if name not in whole})
    axes = (inner, outer, Axis(row.groups, whole))

    def price(*lengths: Numbers) -> Numbers:
        return grid.at(*lengths[:-1]) * lengths[-1] / row.groups

    return Layer(row.name, axes, price) if any(axis.units for axis in axes) else None


def _plain(row: Row, grid: Grid, units: Units) -> Layer | None:
    axes = axes_for(row, units)
    return Layer(row.name, axes, grid.at) if any(axis.units for axis in axes) else None


def _times(layer: Layer, scale: float) -> Layer:
    price = layer.price
    return Layer(layer.name, layer.axes, lambda *lengths: scale * price(*lengths))


def dense_of(row: Row, grid: Grid) -> float:
    """What an operator costs in the dense model."""
    return float(grid.at(*(np.asarray(size, dtype=np.float64) for size in row.sizes)))


def network_cost(
    rows: Sequence[Row], grids: Mapping[str, Grid], shapes: Shapes, groups: Sequence[Group], scale: float
) -> NetworkCost:
    """The cost of a model whose operators were measured.

    Args:
        rows: the operators.
        grids: their measured costs by key.
        shapes: of the model's parameters and buffers.
        groups: what may be removed.
        scale: what every cost is multiplied with.

    Returns:
        The cost in seconds; operators that no group reaches are in its fixed part.
    """
    units = Units(groups, shapes)
    layers, fixed = [], 0.0
    for row in rows:
        layer = (_grouped if row.groups > 1 else _plain)(row, grids[row.key], units)
        if layer is None:
            fixed += dense_of(row, grids[row.key])
        else:
            layers.append(_times(layer, scale))
    return NetworkCost(tuple(layers), {group.name: group.size for group in groups}, fixed * scale, "s")
