"""What comes out of the operators that networks are mostly made of, by shape alone.

Torch can tell the shapes of any call on tensors without memory, but takes its time. For the frequent operators on the
frequent layouts the answer is a line of arithmetic. Where anything is out of the ordinary the answer here is ``None``,
and torch is asked, which also is who complains where tensors do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch._ops import OpOverload

from .layout import Form, Shape, by_rows

Forms = Sequence[Form] | None
_HALVES = frozenset({torch.float16, torch.bfloat16})


def _are_usual(*forms: Form | None) -> bool:
    """Whether all are of one floating type, lie row by row, and hold something."""
    dtype = next(form.dtype for form in forms if form is not None)
    return all(form is None or (form.is_usual and form.dtype is dtype) for form in forms)


def _alike(x: Any, *_: Any, **__: Any) -> Forms:
    """One value becomes one value of the same type."""
    if type(x) is not Form or not x.is_float:
        return None
    if x.in_rows:
        return [by_rows(x.shape, x.dtype)] if x.is_usual else None
    return [x] if x.is_dense else None


def _with_number(x: Any, other: Any, **rest: Any) -> Forms:
    if type(x) is Form and type(other) is Form:
        return _pair(x, other, **rest)
    return _alike(x) if type(other) in (int, float, bool) else None


def _pair(x: Form, y: Form, alpha: object = 1) -> Forms:
    if x.dtype is not y.dtype or not x.is_float or type(alpha) not in (int, float):
        return None
    if x.shape == y.shape and x.stride == y.stride:
        return _alike(x)
    if not x.is_usual or not y.is_usual or not x.shape or not y.shape:
        return None
    sizes = []
    for a, b in zip_longest(reversed(x.shape), reversed(y.shape), fillvalue=1):
        if a != b and a != 1 and b != 1:
            return None
        sizes.append(max(a, b))
    return [by_rows(tuple(reversed(sizes)), x.dtype)]


def _each(values: Sequence[int], count: int) -> Sequence[int]:
    return list(values) * count if len(values) == 1 else values


def _slid(sizes: Sequence[int], kernel: Sequence[int], stride: Any, padding: Any, dilation: Any) -> Shape | None:
    """How often a window fits, along each axis."""
    count = len(sizes)
    given = zip(sizes, kernel, _each(stride, count), _each(padding, count), _each(dilation, count), strict=True)
    found = tuple([(size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in given])
    return found if min(found) > 0 else None


def _convolution(x: Form, weight: Form, bias: Form | None, *settings: Any) -> Forms:
    stride, padding, dilation, transposed, _, groups = settings
    if transposed or not _are_usual(x, weight, bias) or len(x.shape) != len(weight.shape) or len(x.shape) < 3:
        return None
    if not x.strictly or not weight.strictly:
        return None
    outs, width = weight.shape[:2]
    if x.shape[1] != width * groups or outs % groups or (bias is not None and bias.shape != (outs,)):
        return None
    spatial = _slid(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    return None if spatial is None else [by_rows((x.shape[0], outs, *spatial), x.dtype)]


def _batch_norm(x: Form, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *_: Any) -> Forms:
    if training or mean is None or var is None or len(x.shape) < 2 or not x.is_float:
        return None
    width, dtype = x.shape[1:2], x.dtype
    for tensor in (weight, bias, mean, var):
        if tensor is not None and (tensor.shape != width or tensor.dtype is not dtype):
            return None
    like, nothing = _alike(x), by_rows((0,), dtype)
    # Without memory torch takes a batch norm apart, where it lies otherwise: whatever comes out lies row by row.
    return [*(like or [by_rows(x.shape, dtype)]), nothing, nothing]


def _layer_norm(x: Form, shape: Sequence[int], weight: Any, bias: Any, *_: Any) -> Forms:
    wanted = tuple(shape)
    lead = len(x.shape) - len(wanted)
    if not _are_usual(x, weight, bias) or x.dtype in _HALVES or x.shape[lead:] != wanted:
        return None
    if any(tensor is not None and tensor.shape != wanted for tensor in (weight, bias)):
        return None
    rest = by_rows((*x.shape[:lead], *[1] * len(wanted)), x.dtype)
    return [by_rows(x.shape, x.dtype), rest, rest]


def _product(x: Form, y: Form) -> Forms:
    """``x @ y`` for matrices, or as many on both sides."""
    if x.dtype is not y.dtype or not x.is_float or len(x.shape) != len(y.shape) or 0 in x.shape or 0 in y.shape:
        return None
    if x.shape[-1] != y.shape[-2] or x.shape[:-2] != y.shape[:-2]:
        return None
    return [by_rows((*x.shape[:-1], y.shape[-1]), x.dtype)]


def _biased_product(bias: Form, x: Form, y: Form, **scales: Any) -> Forms:
    made = None if scales or bias.dtype is not x.dtype else _product(x, y)
    return made if made is not None and bias.shape in (made[0].shape[-1:], made[0].shape) else None


def _joined(tensors: Sequence[Form], dim: int = 0) -> Forms:
    first = tensors[0]
    if not _are_usual(*tensors) or not first.shape or any(len(x.shape) != len(first.shape) for x in tensors):
        return None
    place = dim % len(first.shape)
    before, after, size = first.shape[:place], first.shape[place + 1 :], 0
    for tensor in tensors:
        if tensor.shape[:place] != before or tensor.shape[place + 1 :] != after:
            return None
        size += tensor.shape[place]
    return [by_rows((*before, size, *after), first.dtype)]


def _over(x: Form, dims: Any, keepdim: bool = False, dtype: Any = None) -> Forms:
    """A number for all positions along some axes."""
    dims, rank = [dims] if type(dims) is int else dims, len(x.shape)
    if not dims or dtype is not None or not x.is_usual or any(not -rank <= dim < rank for dim in dims):
        return None
    gone = {dim % rank for dim in dims}
    sizes = [1 if dim in gone else size for dim, size in enumerate(x.shape) if keepdim or dim not in gone]
    return [by_rows(tuple(sizes), x.dtype)] if len(gone) == len(dims) else None


def _along(x: Form, dim: int, half_to_float: bool = False) -> Forms:
    fits = not half_to_float and x.is_usual and -len(x.shape) <= dim < len(x.shape)
    return [by_rows(x.shape, x.dtype)] if fits else None


def _copied(x: Form, memory_format: torch.memory_format | None = None) -> Forms:
    if memory_format in (None, torch.preserve_format):
        return _alike(x)
    if memory_format is not torch.contiguous_format or not x.is_float:
        return None
    return [by_rows(x.shape, x.dtype)]


def _largest(x: Form, kernel: Any, stride: Any = (), padding: Any = (0,), dilation: Any = (1,),
             ceil: bool = False) -> Forms:  # fmt: skip
    if ceil or len(x.shape) != 4 or not x.is_usual:
        return None
    window = _each(kernel, 2)
    if any(2 * pad > size for pad, size in zip(_each(padding, 2), window, strict=True)):
        return None
    spatial = _slid(x.shape[2:], window, stride or window, padding, dilation)
    if spatial is None:
        return None
    shape = (*x.shape[:2], *spatial)
    return [by_rows(shape, x.dtype), by_rows(shape, torch.int64)]


def _averaged(x: Form, size: Sequence[int]) -> Forms:
    fits = len(x.shape) == 4 and x.is_usual and len(size) == 2 and 0 not in size
    return [by_rows((*x.shape[:2], *size), x.dtype)] if fits else None


def _group_norm(x: Form, weight: Any, bias: Any, *settings: Any) -> Forms:
    n, c, hxw, groups, _ = settings
    if not _are_usual(x, weight, bias) or x.dtype in _HALVES or len(x.shape) < 2:
        return None
    if (n, c) != x.shape[:2] or math.prod(x.shape[2:]) != hxw or c % groups:
        return None
    if any(tensor is not None and tensor.shape != (c,) for tensor in (weight, bias)):
        return None
    return [by_rows(x.shape, x.dtype), *[by_rows((n, groups), x.dtype)] * 2]


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
    return type(x) is Form and x.is_float


def _kept_with(x: Any, other: Any, alpha: object = 1) -> bool:
    """Whether another tensor can be taken in without a change of shape or type."""
    if not _kept(x) or type(alpha) not in (int, float):
        return False
    if type(other) is not Form:
        return type(other) in (int, float, bool)
    rank = len(x.shape) - len(other.shape)
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
