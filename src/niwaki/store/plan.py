"""The plan of a smaller model as JSON, compactly, and back with every entry checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..core.cut import Cut
from ..core.errors import StoreError, said

_RUN = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def _runs(positions: list[int]) -> str:
    """Ascending positions as runs.

    >>> _runs([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    starts = [i for i, p in enumerate(positions) if i == 0 or p != positions[i - 1] + 1]
    ends = [*(i - 1 for i in starts[1:]), len(positions) - 1]
    pairs = [(positions[a], positions[b]) for a, b in zip(starts, ends, strict=True)]
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs)


def _checked(name: str, axis: int, index: Tensor, cut: Cut) -> list[int]:
    positions: list[int] = index.tolist()
    size = cut.shapes[name][axis] if name in cut.shapes else None
    good = positions and positions[0] >= 0 and all(a < b for a, b in zip(positions, positions[1:], strict=False))
    if not good or (size is not None and positions[-1] >= size):
        raise StoreError(
            f"the model's cut keeps {str(positions[:8])[1:-1]} ... of axis {axis} of {name!r}"
            f"{'' if size is None else f', which has {size} positions'}; they must ascend and lie inside"
        )
    return positions


def pack(cut: Cut) -> dict[str, Any]:
    """A cut as JSON. Equal lists of positions, which whole groups share, are there once, as runs.

    >>> kept = {"a": {0: torch.tensor([0, 1, 3])}, "b": {1: torch.tensor([0, 1, 3])}}
    >>> pack(Cut(kept, {"layer.heads": 2}, {"a": (4, 2), "b": (2, 4)}))
    {'positions': ['0-1,3'], 'kept': {'a': {'0': 0}, 'b': {'1': 0}}, 'sizes': {'layer.heads': 2}}
    """
    known: dict[str, int] = {}
    kept: dict[str, dict[str, int]] = {}
    for name, axes in cut.kept.items():
        kept[name] = {}
        for axis, index in axes.items():
            runs = _runs(_checked(name, axis, index, cut))
            kept[name][str(axis)] = known.setdefault(runs, len(known))
    sizes = {name: list(value) if isinstance(value, tuple) else int(value) for name, value in cut.sizes.items()}
    return {"positions": list(known), "kept": kept, "sizes": sizes}


def _positions(runs: str, size: int) -> Tensor:
    # The inverse of `_runs`; nothing is made that does not fit an axis of that size.
    parts, low = [], 0
    for text in runs.split(","):
        match = _RUN.fullmatch(text)
        first, last = (-1, -1) if match is None else (int(match[1]), int(match[2] or match[1]))
        if not low <= first <= last < size:
            raise ValueError(f"the positions {runs[:40]!r} do not ascend within {size}")
        parts.append(torch.arange(first, last + 1, device="cpu"))  # under `torch.device("meta")`, too
        low = last + 1
    return torch.cat(parts)


def _size(value: Any) -> int | tuple[int, ...]:
    parts = value if isinstance(value, list) else [value]
    if not all(type(part) is int and abs(part) < 2**62 for part in parts):
        raise ValueError(f"the size {str(value)[:40]!r} is no whole number")
    return tuple(parts) if isinstance(value, list) else int(value)


def unpack(packed: Any, shapes: Mapping[str, tuple[int, ...]]) -> Cut:
    """The inverse of `pack`.

    Args:
        packed: what `pack` made; nothing is taken on trust.
        shapes: the dense model's tensors.

    Returns:
        The cut.

    Raises:
        StoreError: the plan says what no cut says, or does not fit those tensors.
    """
    try:
        kept: dict[str, dict[int, Tensor]] = {}
        for name, axes in packed["kept"].items():
            shape = shapes[name]
            kept[name] = {int(axis): _positions(packed["positions"][i], shape[int(axis)]) for axis, i in axes.items()}
        sizes = {str(name): _size(value) for name, value in packed["sizes"].items()}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"the plan does not say how to cut this model ({said(error)}); take another copy of it"
        ) from error
    return Cut(kept, sizes, {name: shapes[name] for name in kept})
