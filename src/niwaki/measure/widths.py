"""How the sizes of activations hang on the axes of parameters, followed through one forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

Form = tuple[tuple[str, int, float], ...]
"""A sum: per axis ``(tensor, dim)`` of a parameter, how much of a length goes with one position of it."""

Forms = tuple[Form, ...]
"""What a length may hang on. Where a view splits an axis each part is a candidate; the groups tell which falls."""

_CANDIDATES = 6


def own(name: str, dim: int) -> Forms:
    """A length that is the axis of a parameter itself."""
    return (((name, dim, 1.0),),)


def scaled(forms: Forms, factor: float) -> Forms:
    """The same, as much longer or shorter."""
    return tuple(tuple((name, dim, each * factor) for name, dim, each in form) for form in forms)


def joined(parts: Sequence[Forms]) -> Forms:
    """The length of several laid end to end."""
    total: dict[tuple[str, int], float] = {}
    for forms in parts:
        for name, dim, each in forms[0] if forms else ():
            total[name, dim] = total.get((name, dim), 0.0) + each
    return (tuple((name, dim, each) for (name, dim), each in total.items()),) if total else ()


def either(parts: Iterable[Forms]) -> Forms:
    """All candidates, each once."""
    return tuple(dict.fromkeys(form for forms in parts for form in forms))[:_CANDIDATES]


def viewed(shape: Sequence[int], forms: Sequence[Forms], new: Sequence[int]) -> tuple[Forms, ...]:
    """Forms after a view: runs of dimensions with equal products belong together.

    Args:
        shape: before.
        forms: before, one per dimension.
        new: the shape after.

    Returns:
        One per new dimension.

    >>> viewed((1, 8, 2, 2), ((), own("w", 0), (), ()), (1, 32))
    ((), ((('w', 0, 4.0),),))
    """
    out: list[Forms] = [() for _ in new]
    i = j = 0
    while i < len(shape) and j < len(new):
        first, start, left, right = i, j, shape[i], new[j]
        while left != right:
            if left < right:
                i += 1
                left *= shape[i]
            else:
                j += 1
                right *= new[j]
        for k in range(start, j + 1):
            found = (scaled(forms[d], new[k] / shape[d]) for d in range(first, i + 1) if shape[d] > 1)
            out[k] = either(found) if new[k] > 1 else ()
        i, j = i + 1, j + 1
    return tuple(out)


def aligned(shapes: Sequence[Sequence[int]], forms: Sequence[Sequence[Forms]], new: Sequence[int]) -> tuple[Forms, ...]:
    """Forms of what is made element by element: dimensions count from the last, those of the same length tell."""
    out: list[Forms] = []
    for back in range(len(new), 0, -1):
        mine = [f[-back] for s, f in zip(shapes, forms, strict=True) if len(s) >= back and s[-back] == new[-back]]
        out.append(either(mine) if new[-back] > 1 else ())
    return tuple(out)


_REDUCING = {"mean", "sum", "amax", "amin", "var", "std", "select", "unbind", "argmax", "norm"}


def _dropped(shape: Sequence[int], forms: Sequence[Forms], where: Any) -> tuple[Forms, ...]:
    gone = {d % len(shape) for d in (where if isinstance(where, list | tuple) else [where])}
    return tuple(f for d, f in enumerate(forms) if d not in gone)


def followed(name: str, args: Sequence[Any], shapes: Sequence[Any], forms: Sequence[Any], new: Sequence[int]) -> Any:
    """The forms of what an operator made.

    Args:
        name: of the operator, without namespace and overload.
        args: its positional arguments.
        shapes: of the tensors among them, in order.
        forms: of these tensors, one `Forms` per dimension.
        new: the shape of what was made.

    Returns:
        One `Forms` per dimension of it; empty ones where nothing is known.
    """
    if not shapes:
        return tuple(() for _ in new)
    shape, first = shapes[0], forms[0]
    if name.startswith("conv") and name[-1] == "d":
        groups = args[6] if len(args) > 6 else 1
        turned = name.startswith("conv_transpose")
        return (first[0], scaled(forms[1][1], groups) if turned else forms[1][0], *(() for _ in new[2:]))
    if name.endswith("_norm"):
        return tuple(first)
    if name == "linear":
        return (*first[:-1], forms[1][0])
    if name in {"matmul", "bmm", "mm"} and len(shape) > 1 and len(shapes[1]) > 1:
        return (*aligned(shapes, forms, (*new[:-2], 0, 0))[:-2], first[-2], forms[1][-1])
    if name in {"addmm", "baddbmm"}:
        return (*first[:-2], forms[1][-2], forms[2][-1])
    if name == "scaled_dot_product_attention":
        return (*first[:-1], forms[2][-1])
    if name == "embedding":
        return (*forms[1], first[1])
    if name in {"permute", "transpose", "t", "movedim"}:
        return _turned(name, args, first)
    if name in {"cat", "concat"}:
        along = (args[1] if len(args) > 1 else 0) % len(new)
        sides = aligned(shapes, forms, new)
        return tuple(joined([f[d] for f in forms]) if d == along else side for d, side in enumerate(sides))
    if name in _REDUCING and len(args) > 1 and len(new) < len(shape):
        return _dropped(shape, first, args[1] if args[1] is not None else list(range(len(shape))))
    if len(new) == len(shape) and name in {"slice", "split", "chunk", "narrow", "split_with_sizes"}:
        return tuple(scaled(f, n / s) if s else () for f, n, s in zip(first, new, shape, strict=True))
    if len(shapes) == 1 and math.prod(shape) == math.prod(new):
        return viewed(shape, first, new)
    return aligned(shapes, forms, new)


def _turned(name: str, args: Sequence[Any], first: Sequence[Forms]) -> tuple[Forms, ...]:
    rank = len(first)
    order = list(range(rank))
    if name == "permute":
        order = [d % rank for d in args[1]]
    elif name == "t":
        order.reverse()
    else:
        a, b = (d % rank for d in args[1:3])
        order[a], order[b] = order[b], order[a]
    return tuple(first[d] for d in order)


def forms_of(tensor: Tensor) -> tuple[Forms, ...]:
    """What was noted on a tensor; nothing where it is new."""
    known = getattr(tensor, "_niwaki_widths", None)
    return known if known is not None and len(known) == tensor.dim() else ((),) * tensor.dim()
