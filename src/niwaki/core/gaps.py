"""How far apart two outputs of models are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import torch
from torch import Tensor

from .widest import widest_type

_BROKEN = {torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64, torch.complex128}


def tensors_in(value: object, path: str = "output") -> dict[str, Tensor]:
    """The tensors in an output of any structure, by a path such as ``output['logits'][0]``; others are left out.

    >>> list(tensors_in({"a": torch.zeros(1), "b": (torch.zeros(1), None)}))
    ["output['a']", "output['b'][0]"]
    """
    if isinstance(value, Tensor):
        return {path: value}
    if isinstance(value, Mapping):
        parts = [(f"{path}[{key!r}]", part) for key, part in value.items()]
    elif isinstance(value, tuple | list):
        parts = [(f"{path}[{i}]", part) for i, part in enumerate(value)]
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [(f"{path}.{field.name}", getattr(value, field.name)) for field in fields(value)]
    else:
        parts = []
    return {name: tensor for at, part in parts for name, tensor in tensors_in(part, at).items()}


def largest(tensor: Tensor) -> float:
    """The largest absolute value that is finite; zero for an empty tensor and for whole numbers.

    >>> largest(torch.tensor([-2.0, float("inf")]))
    2.0
    """
    if tensor.dtype not in _BROKEN or not tensor.numel():
        return 0.0
    return float(tensor.detach().abs().nan_to_num(0.0, 0.0).max())


def gap(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape; infinite where only one is NaN or infinite.

    >>> gap(torch.tensor([1.0, float("-inf")]), torch.tensor([1.5, float("-inf")]))
    0.5
    """
    if not one.numel():
        return 0.0
    kind = widest_type(one.device, is_complex=one.is_complex() or other.is_complex())
    a, b = one.detach().to(kind), other.detach().to(one.device, kind)
    same = (a == b) | (a.isnan() & b.isnan())
    difference = float(torch.where(same, 0.0, (a - b).abs()).max())
    return difference if difference == difference else float("inf")
