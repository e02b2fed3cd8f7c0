"""What comes out of the operators that networks are mostly made of, by shape alone.

Torch can tell the shapes of any call on tensors without memory, but takes its time. For the frequent operators on the
frequent layouts the answer is a line of arithmetic. Where anything is out of the ordinary the answer here is ``None``,
and torch is asked, which also is who complains where tensors do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Form:
    """A tensor without its values; without a stride it lies row by row."""

    shape: Shape
    dtype: torch.dtype
    stride: Shape | None = None


Forms = Sequence[Form] | None
_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})


def _is_usual(*tensors: Tensor | None) -> bool:
    """Whether all are of one floating type, lie row by row, and hold something."""
    given = [tensor for tensor in tensors if tensor is not None]
    dtype = given[0].dtype
    return dtype in _FLOATS and all(x.dtype is dtype and x.is_contiguous() and 0 not in x.shape for x in given)


def _is_row_by_row(x: Tensor) -> bool:
    """Whether nothing about the steps allows another reading: axes of one position may hide channels that lie last."""
    wide = 1
    for step, size in zip(reversed(x.stride()), reversed(x.shape), strict=True):
        if step != wide:
            return False
        wide *= size
    return True


def _is_dense(shape: Sequence[int], stride: Sequence[int]) -> bool:
    """Whether positions fill memory without gaps and overlaps, in whatever order."""
    wide = 1
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size != 1):
        if step != wide or size == 0:
            return False
        wide *= size
    return True


def _alike(x: Any, *_: Any, **__: Any) -> Forms:
    """One value becomes one value of the same type."""
    if not isinstance(x, Tensor) or x.dtype not in _FLOATS:
        return None
    if x.is_contiguous():
        return None if 0 in x.shape else [Form(tuple(x.shape), x.dtype)]
    shape, stride = tuple(x.shape), x.stride()
    return [Form(shape, x.dtype, stride)] if _is_dense(shape, stride) else None


def _with_number(x: Any, other: Any, **rest: Any) -> Forms:
    if isinstance(x, Tensor) and isinstance(other, Tensor):
        return _pair(x, other, **rest)
    return _alike(x) if type(other) in (int, float, bool) else None


def _pair(x: Tensor, y: Tensor, alpha: object = 1) -> Forms:
    if x.dtype is not y.dtype or x.dtype not in _FLOATS or type(alpha) not in (int, float):
        return None
    if x.shape == y.shape and x.stride() == y.stride():
        return _alike(x)
    if not _is_usual(x, y) or not x.dim() or not y.dim():
        return None
    rank = max(x.dim(), y.dim())
    longs = [(1,) * (rank - t.dim()) + tuple(t.shape) for t in (x, y)]
    if any(a != b and a != 1 and b != 1 for a, b in zip(*longs, strict=True)):
        return None
    return [Form(tuple(map(max, *longs)), x.dtype)]


def _each(values: Sequence[int], count: int) -> list[int]:
    return list(values) * count if len(values) == 1 else list(values)


def _slid(sizes: Sequence[int], kernel: Sequence[int], stride: Any, padding: Any, dilation: Any) -> Shape | None:
    """How often a window fits, along each axis."""
    count = len(sizes)
    given = zip(sizes, kernel, _each(stride, count), _each(padding, count), _each(dilation, count), strict=True)
    found = tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in given)
    return found if all(size > 0 for size in found) else None


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Forms:
    stride, padding, dilation, transposed, _, groups = settings
    if transposed or not _is_usual(x, weight, bias) or x.dim() != weight.dim() or x.dim() < 3:
        return None
    if not _is_row_by_row(x) or not _is_row_by_row(weight):
        return None
    outs, width = weight.shape[:2]
    if x.shape[1] != width * groups or outs % groups or (bias is not None and tuple(bias.shape) != (outs,)):
        return None
    spatial = _slid(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return None if spatial is None else [Form((x.shape[0], outs, *spatial), x.dtype)]


def _batch_norm(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *_: Any) -> Forms:
    tied = [tensor for tensor in (weight, bias, mean, var) if tensor is not None]
    if training or mean is None or var is None or x.dim() < 2 or any(t.shape != x.shape[1:2] for t in tied):
        return None
    if x.dtype not in _FLOATS or any(tensor.dtype is not x.dtype for tensor in tied):
        return None
    like = _alike(x)
    # Without memory torch takes a batch norm apart, where it lies otherwise: whatever comes out lies row by row.
    return [*(like or [Form(tuple(x.shape), x.dtype)]), Form((0,), x.dtype), Form((0,), x.dtype)]


def _layer_norm(x: Tensor, shape: Sequence[int], weight: Any, bias: Any, *_: Any) -> Forms:
    wanted = tuple(shape)
    lead = x.dim() - len(wanted)
    if not _is_usual(x, weight, bias) or x.dtype in (torch.float16, torch.bfloat16) or tuple(x.shape[lead:]) != wanted:
        return None
    if any(tensor is not None and tuple(tensor.shape) != wanted for tensor in (weight, bias)):
        return None
    rest = Form((*x.shape[:lead], *[1] * len(wanted)), x.dtype)
    return [Form(tuple(x.shape), x.dtype), rest, rest]


def _product(x: Tensor, y: Tensor) -> Forms:
    """``x @ y`` for matrices, or as many on both sides."""
    if x.dtype is not y.dtype or x.dtype not in _FLOATS or x.dim() != y.dim() or 0 in x.shape or 0 in y.shape:
        return None
    if x.shape[-1] != y.shape[-2] or x.shape[:-2] != y.shape[:-2]:
        return None
    return [Form((*x.shape[:-1], y.shape[-1]), x.dtype)]


def _biased_product(bias: Tensor, x: Tensor, y: Tensor, **scales: Any) -> Forms:
    made = None if scales or bias.dtype is not x.dtype else _product(x, y)
    return made if made is not None and tuple(bias.shape) in (made[0].shape[-1:], made[0].shape) else None


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Forms:
    first = tensors[0]
    if not _is_usual(*tensors) or not first.dim() or any(x.dim() != first.dim() for x in tensors):
        return None
    place = dim % first.dim()
    shape = list(first.shape)
    for tensor in tensors[1:]:
        if any(a != b for d, (a, b) in enumerate(zip(tensor.shape, first.shape, strict=True)) if d != place):
            return None
        shape[place] += tensor.shape[place]
    return [Form(tuple(shape), first.dtype)]


def _over(x: Tensor, dims: Any, keepdim: bool = False, dtype: Any = None) -> Forms:
    """A number for all positions along some axes."""
    dims = [dims] if type(dims) is int else dims
    if not dims or dtype is not None or not _is_usual(x) or any(not -x.dim() <= dim < x.dim() for dim in dims):
        return None
    gone = {dim % x.dim() for dim in dims}
    sizes = [1 if dim in gone else size for dim, size in enumerate(x.shape) if keepdim or dim not in gone]
    return [Form(tuple(sizes), x.dtype)] if len(gone) == len(dims) else None


def _along(x: Tensor, dim: int, half_to_float: bool = False) -> Forms:
    fits = not half_to_float and _is_usual(x) and -x.dim() <= dim < x.dim()
    return [Form(tuple(x.shape), x.dtype)] if fits else None


def _copied(x: Tensor, memory_format: torch.memory_format | None = None) -> Forms:
    if memory_format in (None, torch.preserve_format):
        return _alike(x)
    if memory_format is not torch.contiguous_format or x.dtype not in _FLOATS:
        return None
    return [Form(tuple(x.shape), x.dtype)]


def _largest(x: Tensor, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,),
             ceil: bool = False) -> Forms:  # fmt: skip
    if ceil or x.dim() != 4 or not _is_usual(x):
        return None
    window = _each(kernel, 2)
    if any(2 * pad > size for pad, size in zip(_each(padding, 2), window, strict=True)):
        return None
    spatial = _slid(x.shape[2:], window, stride or window, padding, dilation)
    if spatial is None:
        return None
    shape = (*x.shape[:2], *spatial)
    return [Form(shape, x.dtype), Form(shape, torch.int64)]


def _averaged(x: Tensor, size: Sequence[int]) -> Forms:
    fits = x.dim() == 4 and _is_usual(x) and len(size) == 2 and 0 not in size
    return [Form((*x.shape[:2], *size), x.dtype)] if fits else None


def _group_norm(x: Tensor, weight: Any, bias: Any, *settings: Any) -> Forms:
    n, c, hxw, groups, _ = settings
    if not _is_usual(x, weight, bias) or x.dtype in (torch.float16, torch.bfloat16) or x.dim() < 2:
        return None
    if (n, c) != tuple(x.shape[:2]) or math.prod(x.shape[2:]) != hxw or c % groups:
        return None
    if any(tensor is not None and tuple(tensor.shape) != (c,) for tensor in (weight, bias)):
        return None
    return [Form(tuple(x.shape), x.dtype), *[Form((n, groups), x.dtype)] * 2]


_ALIKE = (
    "relu sigmoid tanh silu gelu hardtanh hardswish hardsigmoid leaky_relu elu mish erf exp log sqrt rsqrt neg abs "
    "clamp_min clamp_max softplus sin cos"
)
_WITH_NUMBER = "add mul sub div"
_KINDS: list[tuple[str, str, Callable[..., Forms]]] = [
    (_ALIKE, "default", _alike),
    ("pow", "Tensor_Scalar", _with_number),
    ("rsub", "Scalar", _with_number),
    (_WITH_NUMBER, "Tensor", _with_number),
    ("convolution", "default", _convolution),
    ("native_batch_norm", "default", _batch_norm),
    ("native_layer_norm", "default", _layer_norm),
    ("native_group_norm", "default", _group_norm),
    ("mm bmm", "default", _product),
    ("addmm baddbmm", "default", _biased_product),
    ("cat", "default", _joined),
    ("mean", "dim", _over),
    ("sum", "dim_IntList", _over),
    ("_softmax _log_softmax", "default", _along),
    ("clone", "default", _copied),
    ("max_pool2d_with_indices", "default", _largest),
    ("_adaptive_avg_pool2d", "default", _averaged),
]
FORMS: dict[OpOverload, Callable[..., Forms]] = {
    getattr(getattr(torch.ops.aten, name), overload): form for names, overload, form in _KINDS for name in names.split()
}


def _kept(x: Any, *_: Any, **__: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype in _FLOATS


def _kept_with(x: Any, other: Any, alpha: object = 1) -> bool:
    """Whether another tensor can be taken in without a change of shape or type."""
    if not _kept(x) or type(alpha) not in (int, float):
        return False
    if not isinstance(other, Tensor):
        return type(other) in (int, float, bool)
    rank = x.dim() - other.dim()
    return rank >= 0 and other.dtype is x.dtype and all(
        size in (1, mine) for size, mine in zip(other.shape, x.shape[rank:], strict=True)
    )  # fmt: skip


IN_PLACE: dict[OpOverload, Callable[..., bool]] = {
    getattr(getattr(torch.ops.aten, f"{name}_"), overload): fits
    for names, overload, fits in (
        ("relu sigmoid tanh silu hardtanh hardswish hardsigmoid leaky_relu elu", "default", _kept),
        (_WITH_NUMBER, "Tensor", _kept_with),
    )
    for name in names.split()
}
"""Operators that give back their first argument, and when they surely do."""
