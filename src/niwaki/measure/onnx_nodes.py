"""ONNX nodes for the operators of a model: what a runtime would be given, one operator at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]


@dataclass
class Sketch:
    """Nodes in the making: each call of `add` appends one and gives the name of its output."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node."""
        from onnx import helper

        out = f"made{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def constant(self, values: Any, dtype: Any) -> str:
        """Append a tensor of fixed values."""
        from onnx import numpy_helper

        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name


@dataclass(frozen=True)
class Site:
    """What an operator is called with: names of its tensors, their shapes, and all its arguments.

    Args:
        inputs: the names.
        shapes: the shapes.
        args: positional arguments; tensors among them are not looked at.
        kwargs: the others.
        out: the shape of what it makes.
        dtype: numpy's type for constants.
    """

    inputs: tuple[str, ...]
    shapes: tuple[Shape, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Shape
    dtype: Any

    def value(self, place: int, name: str, default: Any) -> Any:
        """An argument by place or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


def _wide(value: Any, rank: int) -> list[int]:
    found = list(value) if isinstance(value, list | tuple) else [value]
    return [int(x) for x in (found * rank if len(found) == 1 else found)]


def _convolution(sketch: Sketch, site: Site) -> str:
    rank = len(site.shapes[0]) - 2
    padding = site.value(4, "padding", 0)
    if isinstance(padding, str):
        raise ValueError(f"padding {padding!r}")
    pads = _wide(padding, rank)
    return sketch.add(
        "Conv",
        site.inputs,
        kernel_shape=list(site.shapes[1][2:]),
        strides=_wide(site.value(3, "stride", 1), rank),
        pads=pads * 2,
        dilations=_wide(site.value(5, "dilation", 1), rank),
        group=int(site.value(6, "groups", 1)),
    )


def _turned_convolution(sketch: Sketch, site: Site) -> str:
    rank = len(site.shapes[0]) - 2
    return sketch.add(
        "ConvTranspose",
        site.inputs,
        kernel_shape=list(site.shapes[1][2:]),
        strides=_wide(site.value(3, "stride", 1), rank),
        pads=_wide(site.value(4, "padding", 0), rank) * 2,
        output_padding=_wide(site.value(5, "output_padding", 0), rank),
        group=int(site.value(6, "groups", 1)),
        dilations=_wide(site.value(7, "dilation", 1), rank),
    )


def _linear(sketch: Sketch, site: Site) -> str:
    if len(site.shapes[0]) == 2:
        return sketch.add("Gemm", site.inputs, transB=1)
    # A constant weight is turned once, when the session is made.
    turned = sketch.add("Transpose", [site.inputs[1]], perm=[1, 0])
    made = sketch.add("MatMul", [site.inputs[0], turned])
    return sketch.add("Add", [made, site.inputs[2]]) if len(site.inputs) > 2 else made


def _batch_norm(sketch: Sketch, site: Site) -> str:
    data, weight, bias, mean, var = site.inputs
    return sketch.add("BatchNormalization", [data, weight, bias, mean, var], epsilon=float(site.args[7]))


def _layer_norm(sketch: Sketch, site: Site) -> str:
    axis = -len(site.value(1, "normalized_shape", ()))
    return sketch.add("LayerNormalization", site.inputs, axis=axis, epsilon=float(site.value(4, "eps", 1e-5)))


def _pool(kind: str) -> Callable[[Sketch, Site], str]:
    def pool(sketch: Sketch, site: Site) -> str:
        rank = len(site.out) - 2
        kernel = _wide(site.args[1], rank)
        strides = _wide(site.value(2, "stride", None) or kernel, rank)
        pads = _wide(site.value(3, "padding", 0), rank) * 2
        at = 5 if kind == "MaxPool" else 4
        ceil = int(bool(site.value(at, "ceil_mode", False)))
        return sketch.add(kind, site.inputs, kernel_shape=kernel, strides=strides, pads=pads, ceil_mode=ceil)

    return pool


def _whole_pool(sketch: Sketch, site: Site) -> str:
    if math.prod(site.out[2:]) != 1:
        raise ValueError(f"a pool to {site.out[2:]}")
    return sketch.add("GlobalAveragePool", site.inputs)


def _mean(sketch: Sketch, site: Site) -> str:
    axes = sketch.constant(_wide(site.args[1], 1), np.int64)
    return sketch.add("ReduceMean", [site.inputs[0], axes], keepdims=int(bool(site.value(2, "keepdim", False))))


def _clip(sketch: Sketch, site: Site) -> str:
    low, high = site.value(1, "min_val", -1.0), site.value(2, "max_val", 1.0)
    return sketch.add("Clip", [site.inputs[0], sketch.constant(low, site.dtype), sketch.constant(high, site.dtype)])


def _silu(sketch: Sketch, site: Site) -> str:
    return sketch.add("Mul", [site.inputs[0], sketch.add("Sigmoid", site.inputs)])


def _gelu(sketch: Sketch, site: Site) -> str:
    divided = sketch.add("Div", [site.inputs[0], sketch.constant(math.sqrt(2), site.dtype)])
    more = sketch.add("Add", [sketch.add("Erf", [divided]), sketch.constant(1.0, site.dtype)])
    product = sketch.add("Mul", [site.inputs[0], more])
    return sketch.add("Mul", [product, sketch.constant(0.5, site.dtype)])


def _softmax(sketch: Sketch, site: Site) -> str:
    return sketch.add("Softmax", site.inputs[:1], axis=int(site.args[1]))


def _attention(sketch: Sketch, site: Site) -> str:
    rank = len(site.shapes[1])
    turned = sketch.add("Transpose", [site.inputs[1]], perm=[*range(rank - 2), rank - 1, rank - 2])
    product = sketch.add("MatMul", [site.inputs[0], turned])
    scaled = sketch.add("Mul", [product, sketch.constant(site.shapes[0][-1] ** -0.5, site.dtype)])
    return sketch.add("MatMul", [sketch.add("Softmax", [scaled], axis=-1), site.inputs[2]])


def _same(kind: str) -> Callable[[Sketch, Site], str]:
    def same(sketch: Sketch, site: Site) -> str:
        inputs = list(site.inputs)
        if len(inputs) == 1 and kind in {"Add", "Sub", "Mul", "Div"}:
            inputs.append(sketch.constant(site.args[1], site.dtype))
        return sketch.add(kind, inputs)

    return same


def _joined(sketch: Sketch, site: Site) -> str:
    return sketch.add("Concat", site.inputs, axis=int(site.value(1, "dim", 0)))


_PLAIN = {
    "relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "hardswish": "HardSwish", "elu": "Elu",
    "softplus": "Softplus", "leaky_relu": "LeakyRelu", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div",
    "matmul": "MatMul", "bmm": "MatMul", "mm": "MatMul", "exp": "Exp", "sqrt": "Sqrt", "erf": "Erf", "neg": "Neg",
}  # fmt: skip
_NODES: Mapping[str, Callable[[Sketch, Site], str]] = {
    **{kind: _same(name) for kind, name in _PLAIN.items()},
    **{f"conv{n}d": _convolution for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": _turned_convolution for n in (1, 2, 3)},
    **{f"max_pool{n}d": _pool("MaxPool") for n in (1, 2, 3)},
    **{f"avg_pool{n}d": _pool("AveragePool") for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": _whole_pool for n in (1, 2, 3)},
    "linear": _linear, "batch_norm": _batch_norm, "layer_norm": _layer_norm, "mean": _mean, "hardtanh": _clip,
    "silu": _silu, "gelu": _gelu, "softmax": _softmax, "scaled_dot_product_attention": _attention, "cat": _joined,
}  # fmt: skip


def nodes_for(kind: str, sketch: Sketch, site: Site) -> str:
    """Append the nodes of one operator.

    Args:
        kind: of the operator.
        sketch: what they are appended to.
        site: what it is called with.

    Returns:
        The name of the output.

    Raises:
        ValueError: there is no such operator here, or not with these arguments.
    """
    if kind not in _NODES:
        raise ValueError(f"no ONNX nodes are known for {kind}")
    return _NODES[kind](sketch, site)
