"""Networks made lively, run, masked and compared: what the benchmark of coverage calls exact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_iter

import niwaki as nw


def liven(model: nn.Module) -> None:
    """Values that a fresh network has at zero or one, and that would hide a mistake."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point() and (parameter.dim() < 2 or float(parameter.std()) < 1e-3):
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.mul_(0.5 + torch.rand(buffer.shape, generator=generator))


def run(model: nn.Module, example: Any) -> list[Tensor]:
    with torch.no_grad():
        out = model(**example) if isinstance(example, dict) else model(example)
    return [x.double() for x in tree_iter(dict(out) if hasattr(out, "keys") else out)
            if isinstance(x, Tensor) and x.is_floating_point()]  # fmt: skip


def mask(model: nn.Module, groups: Iterable[nw.Group], keep: dict[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for group in groups:
            for where in group.slices:
                parameters[where.tensor].index_fill_(where.dim, where.index[~keep[group.name]].flatten(), 0)


def compared(got: list[Tensor], wanted: list[Tensor]) -> dict[str, Any]:
    pairs = list(zip(got, wanted, strict=True))
    relative = max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs)
    finite = all(bool(x.isfinite().all()) for x in got)
    return {"relative": relative, "finite": finite, "exact": finite and relative < 1e-4}
