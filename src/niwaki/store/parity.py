"""What another runtime computes, compared with the model itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..core.errors import StoreError, said
from ..core.gaps import gap, largest
from .calling import Call

Run = Callable[[Call], Sequence[NDArray[Any]]]


@dataclass(frozen=True)
class Parity:
    """How far a written model is from the one it was made of.

    ``difference`` is the largest absolute difference of any output, ``largest`` the largest absolute output that
    is finite, ``batches`` the batch sizes that were compared.
    """

    path: Path
    runtime: str
    difference: float
    largest: float
    batches: tuple[int, ...]


def arrays_of(values: Any) -> list[NDArray[Any]]:
    """The tensors in nested data, in order, as arrays."""
    leaves = [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]
    # NumPy has no bfloat16; float32 holds all of its values.
    leaves = [leaf.float() if leaf.dtype == torch.bfloat16 else leaf for leaf in leaves]
    return [leaf.detach().cpu().numpy() for leaf in leaves]


def _apart(wanted: Sequence[Tensor], found: Sequence[Tensor]) -> float:
    if len(wanted) != len(found) or any(a.shape != b.shape for a, b in zip(wanted, found, strict=True)):
        shapes = [[list(tensor.shape) for tensor in side] for side in (found, wanted)]
        raise ValueError(f"its outputs have the shapes {shapes[0]}, the model's {shapes[1]}")
    if any(bool(a.isnan().any()) for a in wanted):
        return float("nan")  # from both, it would prove nothing
    return max((gap(a, b) for a, b in zip(wanted, found, strict=True)), default=0.0)


def compare(model: nn.Module, call: Call, path: Path, run: Run, *, runtime: str, dynamic_batch: bool) -> Parity:
    """Run a written model beside the one it was made of.

    Args:
        model: the model.
        call: what both are called with.
        path: where the written one will lie.
        run: the written one: a call to its output arrays in order.
        runtime: name and version of what runs it.
        dynamic_batch: whether to compare other batch sizes, too.

    Returns:
        The differences.

    Raises:
        StoreError: the runtime cannot run it, or returns other shapes.
    """
    sizes = sorted({1, call.batch, call.batch + 3}) if dynamic_batch and call.batch else [call.batch]
    difference = most = 0.0
    for size in sizes:
        this = call.of_batch(size) if call.batch else call
        with torch.no_grad():
            wanted = [torch.from_numpy(array) for array in arrays_of(model(*this.args, **this.kwargs))]
        try:
            apart = _apart(wanted, [torch.tensor(array) for array in run(this)])
        except Exception as error:
            raise StoreError(
                f"{runtime} cannot run what was to become {path} on {size} examples as {type(model).__name__} does "
                f"({said(error)}); nothing was written. Try another opset or dynamic_batch=False"
            ) from error
        difference = float(np.fmax(difference, apart)) if not np.isnan(apart) else float("nan")
        most = max([most, *map(largest, wanted)])
        if np.isnan(difference):
            break
    return Parity(path, runtime, difference, most, tuple(sizes))


def check_parity(parity: Parity, tolerance: float) -> None:
    """Check that a written model computes what the model computes.

    Args:
        parity: what was measured.
        tolerance: the largest difference allowed, relative to outputs larger than one.

    Raises:
        StoreError: it is larger.
    """
    allowed = tolerance * max(1.0, parity.largest)
    if not parity.difference <= allowed:  # also where it is not a number
        raise StoreError(
            f"{parity.runtime} computes outputs from what was to become {parity.path} that are {parity.difference:.3g} "
            f"away from the model's, {allowed:.3g} is allowed; nothing was written. A larger tolerance= is right for "
            "half precision; otherwise try another opset, and report the model"
        )
