"""How tensors lie in memory, without their values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

Shape = tuple[int, ...]
_FLOATS = frozenset({torch.float32, torch.float64, torch.float16, torch.bfloat16})
_MOST = 20000


@dataclass(frozen=True, eq=False, slots=True)
class Form:
    """A tensor without its values. Equal ones are one and the same: they are made by `laid` and `by_rows` alone.

    ``in_rows`` says that it lies row by row, ``strictly`` that nothing about its steps allows another reading: axes of
    one position may hide channels that lie last. ``is_dense``: its positions fill memory without gaps and overlaps, in
    whatever order. ``is_float`` is told by its type, ``is_usual`` that it also lies row by row and holds something.
    """

    shape: Shape
    dtype: torch.dtype
    stride: Shape
    in_rows: bool
    strictly: bool
    is_dense: bool
    is_float: bool
    is_usual: bool


def _is_dense(shape: Shape, stride: Shape) -> bool:
    wide = 1
    for step, size in sorted((step, size) for step, size in zip(stride, shape, strict=True) if size != 1):
        if step != wide or size == 0:
            return False
        wide *= size
    return True


@lru_cache(_MOST)
def by_rows(shape: Shape, dtype: torch.dtype) -> Form:
    """The form of a tensor that lies row by row."""
    steps, wide = [], 1
    for size in reversed(shape):
        steps.append(wide)
        wide *= max(size, 1)
    is_float, is_full = dtype in _FLOATS, 0 not in shape
    return Form(shape, dtype, tuple(reversed(steps)), True, is_full, is_full, is_float, is_float and is_full)


@lru_cache(_MOST)
def laid(shape: Shape, dtype: torch.dtype, stride: Shape) -> Form:
    """The form of a tensor with these steps."""
    rows = by_rows(shape, dtype)
    if stride == rows.stride:
        return rows
    full = 0 not in shape
    in_rows = not full or all(a == b for a, b, size in zip(stride, rows.stride, shape, strict=True) if size != 1)
    is_usual = rows.is_float and in_rows and full
    return Form(shape, dtype, stride, in_rows, False, _is_dense(shape, stride), rows.is_float, is_usual)
