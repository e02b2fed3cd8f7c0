"""Nested Python data as JSON plus a flat dictionary of tensors, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import StoreError

_DTYPES = frozenset(
    {
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    }
)
_LAYOUTS = {"channels_last": [0, 2, 3, 1], "channels_last_3d": [0, 2, 3, 4, 1]}
_DEEPEST = 100


def _check_tensor(tensor: Tensor, where: str) -> None:
    what = None
    if type(tensor) not in {Tensor, nn.Parameter}:
        what = f"a {type(tensor).__name__}; gather it to a plain tensor first"
    elif tensor.layout != torch.strided or tensor.device.type == "meta":
        what = f"a {tensor.layout} tensor on {tensor.device}; only dense tensors with contents can be stored"
    elif tensor.dtype not in _DTYPES:
        what = f"a tensor of {tensor.dtype}; convert it to one of {', '.join(sorted(map(str, _DTYPES)))}"
    if what is not None:
        raise StoreError(f"{where} is {what}")


class _Tensors:
    """Names tensors by their path; what is one tensor in memory gets one name."""

    def __init__(self) -> None:
        self.named: dict[str, Tensor] = {}
        self._known: dict[tuple[object, ...], str] = {}
        self._memory: set[int] = set()

    def name(self, tensor: Tensor, path: str) -> str:
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        if tensor.numel() and key in self._known:
            return self._known[key]
        # safetensors keeps the name "__metadata__" to itself.
        name = stem = path if path not in {"", "__metadata__"} else f"state/{path}"
        count = 1
        while name in self.named:
            count += 1
            name = f"{stem}#{count}"
        stored = tensor.detach().cpu().contiguous()
        # safetensors refuses two views of one memory; a copy makes them two tensors.
        if stored.untyped_storage().data_ptr() in self._memory:
            stored = stored.clone()
        self._memory.add(stored.untyped_storage().data_ptr())
        self.named[name] = stored
        self._known[key] = name
        return name


def _encode_tensor(tensor: Tensor, path: str, where: str, tensors: _Tensors) -> dict[str, Any]:
    _check_tensor(tensor, where)
    node: dict[str, Any] = {"tensor": tensors.name(tensor, path)}
    # A momentum buffer that came back in another layout than its parameter would slow every later step, and products
    # with a matrix that lies otherwise round otherwise.
    strides = tensor.stride()
    axes = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    if not tensor.is_contiguous() and tensor.permute(axes).is_contiguous():
        node["layout"] = next((name for name, order in _LAYOUTS.items() if order == axes), axes)
    return node


def _encode(value: object, path: str, where: str, depth: int, tensors: _Tensors) -> Any:
    if depth > _DEEPEST:
        raise StoreError(f"{where[:80]}... is nested more than {_DEEPEST} deep, or contains itself")

    def inner(key: object, child: object) -> Any:
        return _encode(child, f"{path}/{key}" if path else str(key), f"{where}[{key!r}]", depth + 1, tensors)

    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | str):
        return str(value) if isinstance(value, str) else int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, Tensor):
        return _encode_tensor(value, path, where, tensors)
    if isinstance(value, list):
        return [inner(i, child) for i, child in enumerate(value)]
    if isinstance(value, tuple):
        return {"tuple": [inner(i, child) for i, child in enumerate(value)]}
    if isinstance(value, Mapping):
        for key in value:
            if not (key is None or isinstance(key, str | int | float)):
                raise StoreError(f"{where} has the key {key!r}; only strings and numbers can be keys")
        if all(type(key) is str for key in value):
            return {"dict": {key: inner(key, child) for key, child in value.items()}}
        return {"items": [[_encode(key, "", where, depth, tensors), inner(key, child)] for key, child in value.items()]}
    raise StoreError(
        f"{where} is a {type(value).__name__}, which cannot be stored; allowed are tensors, numbers, strings, "
        "None, lists, tuples and dictionaries of them"
    )


def encode(state: object) -> tuple[Any, dict[str, Tensor]]:
    """Split nested data into JSON and tensors.

    A list becomes a JSON array; whatever JSON lacks is an object with one telling key: ``{"tuple": [...]}``,
    ``{"dict": {...}}``, ``{"items": [[key, value], ...]}`` for keys that are not all strings, ``{"float": "nan"}``,
    ``{"tensor": "path/in/the/data"}``, with ``"layout"`` where its axes do not lie in memory one after the other: the
    axes, outermost first, or the name that torch has for that order.

    Args:
        state: nested dictionaries, lists and tuples of tensors, numbers, strings and None. Dictionary subclasses are
            stored as dictionaries, named tuples as tuples.

    Returns:
        The JSON structure, and the tensors by name: on the CPU, contiguous; one tensor held in several places is there
        once.

    Anything of another kind gives a `StoreError` that names its place.

    >>> encode({"w": torch.zeros(2), 0: (1.5, None)})
    ({'items': [['w', {'tensor': 'w'}], [0, {'tuple': [1.5, None]}]]}, {'w': tensor([0., 0.])})
    """
    tensors = _Tensors()
    return _encode(state, "", "state", 0, tensors), tensors.named


def decode(structure: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `encode`.

    Args:
        structure: the JSON structure.
        tensors: the tensors by name.

    Returns:
        The nested data, tensors on the CPU.

    Raises:
        StoreError: the structure is not one that `encode` makes, or names a tensor that is not there.

    >>> decode(*encode([(1, float("inf")), {3: True}]))
    [(1, inf), {3: True}]
    """
    match structure:
        case None | bool() | int() | float() | str():
            return structure
        case list():
            return [decode(child, tensors) for child in structure]
        case {"tuple": list(children)}:
            return tuple(decode(child, tensors) for child in children)
        case {"dict": dict(children)}:
            return {key: decode(child, tensors) for key, child in children.items()}
        case {"items": list(pairs)}:
            return {decode(key, tensors): decode(child, tensors) for key, child in pairs}
        case {"float": "nan" | "inf" | "-inf" as text}:
            return float(text)
        case {"tensor": str(name)} if name in tensors:
            return _laid_out(tensors[name], structure.get("layout"))
    raise StoreError(f"the structure holds {str(structure)[:80]!r}, which this version does not know; update niwaki")


def _laid_out(tensor: Tensor, layout: object) -> Tensor:
    axes = _LAYOUTS.get(layout) if isinstance(layout, str) else layout
    dims = range(tensor.dim())
    if not isinstance(axes, list) or len(axes) != len(dims) or any(axis not in axes for axis in dims):
        return tensor
    return tensor.permute(axes).contiguous().permute([axes.index(axis) for axis in dims])
