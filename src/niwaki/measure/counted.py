"""What can be counted without measuring: MACs, parameters and bytes of a model, by its widths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..core.costs import Axis, Layer, NetworkCost, Numbers, axes_of
from ..core.group import Group
from ..core.names import bare_model, parameters_of, plain_name
from .flops import count_flops
from .pricing import Row, Units, axes_for
from .tape import split_example, tape_of
from .variables import varied


@dataclass(frozen=True, eq=False)
class CountedPrices:
    """A count that falls with the sizes of tensors.

    Args:
        tensors: what each parameter or buffer counts in the dense model; it falls in proportion to its elements.
        shapes: of these, and of whatever else the rows hang on.
        rows: products without a parameter, such as query times key, with what each counts.
        fixed: what nothing changes.
        unit: what is counted.
    """

    tensors: Mapping[str, float]
    shapes: Mapping[str, tuple[int, ...]]
    rows: tuple[tuple[Row, float], ...]
    fixed: float
    unit: str

    def cost(self, groups: Sequence[Group]) -> NetworkCost:
        """The count of the model as a function of how many units of these groups stay."""
        units = Units(groups, self.shapes)
        sides = [(name, axes_of(groups, name, self.shapes[name]), count) for name, count in self.tensors.items()]
        sides += [(row.name, axes_for(row, units), count) for row, count in self.rows]
        layers = tuple(_layer(name, axes, count) for name, axes, count in sides if any(axis.units for axis in axes))
        fixed = sum(count for _, axes, count in sides if not any(axis.units for axis in axes))
        return NetworkCost(layers, {group.name: group.size for group in groups}, self.fixed + fixed, self.unit)


def _layer(name: str, axes: Sequence[Axis], count: float) -> Layer:
    moving = tuple(axis for axis in axes if axis.units)
    whole = math.prod(axis.size for axis in moving)

    def price(*lengths: Numbers) -> Numbers:
        # First the product, then the share: a whole number stays one.
        return np.asarray(count * math.prod(lengths) / whole)

    return Layer(name, moving, price)


@dataclass(frozen=True, eq=False)
class Counted:
    """The counts of one model.

    Args:
        macs: multiplications of one forward pass: linear layers, convolutions, attention.
        parameters: elements of all parameters.
        bytes: of parameters and buffers, in their types.
    """

    macs: CountedPrices
    parameters: CountedPrices
    bytes: CountedPrices


_PRODUCTS = frozenset("matmul mm bmm addmm baddbmm scaled_dot_product_attention".split())


def _product_macs(kind: str, shapes: Sequence[tuple[int, ...]], out: tuple[int, ...]) -> float:
    if kind == "scaled_dot_product_attention":
        query, key, value = shapes[:3]
        return float(math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))
    first = shapes[1] if kind in {"addmm", "baddbmm"} else shapes[0]
    return float(math.prod(out) * first[-1])


def _products(model: nn.Module, example: Any) -> tuple[tuple[Row, float], ...]:
    """Products of activations with each other; those with a weight fall with the weight."""
    rows = []
    for operation in tape_of(model, example):
        held = operation.held
        if operation.kind in _PRODUCTS and not any(h.name for h in held):
            it = varied(operation)
            count = _product_macs(operation.kind, [h.shape for h in held], operation.outs[0].shape)
            sizes, forms = tuple(v.size for v in it.variables), tuple(v.forms for v in it.variables)
            rows.append((Row(operation.name, "", sizes, forms), count))
    return tuple(rows)


def counted(model: nn.Module, example: Any) -> Counted:
    """Count a model's MACs, parameters and bytes, as costs that fall with its widths.

    Args:
        model: the model; it is only read.
        example: what its forward takes: a tensor, a tuple of inputs, a mapping of keyword inputs. Its batch counts.

    Returns:
        Three prices for `Macs`, `Parameters` and `Bytes`; a `TrainError` if the model does not run on the example.

    >>> import torch
    >>> found = counted(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(5, 8))
    >>> found.macs.cost([]).dense, found.parameters.cost([]).dense, found.bytes.cost([]).dense
    (200.0, 46.0, 184.0)
    """
    args, kwargs = split_example(example)
    flops = count_flops(model, args, kwargs)
    parameters = dict(parameters_of(model))
    buffers = {plain_name(name): buffer for name, buffer in bare_model(model).named_buffers()}
    stored: dict[str, Tensor] = {**parameters, **buffers}
    shapes = {name: tuple(tensor.shape) for name, tensor in stored.items()}
    rows = _products(model, example) if flops.other else ()
    rest = flops.other / 2 - sum(count for _, count in rows)
    return Counted(
        CountedPrices({name: found / 2 for name, found in flops.per_tensor.items()}, shapes, rows, rest, "MACs"),
        CountedPrices({n: float(p.numel()) for n, p in parameters.items()}, shapes, (), 0.0, "parameters"),
        CountedPrices({n: float(t.nbytes) for n, t in stored.items()}, shapes, (), 0.0, "bytes"),
    )
