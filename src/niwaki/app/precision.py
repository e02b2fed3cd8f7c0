"""The number format a run computes in, and whether it pays on this machine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..measure.timing import compare_times
from ..signals.forward import evaluating

_SLOW = 1.5  # below it, noise and small networks would be told of too


def precise(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@torch.no_grad()
def slow_precision(model: nn.Module, inputs: Tensor, precision: str) -> str | None:
    """What to say of a precision that costs time here in place of saving it.

    Processors without instructions for bfloat16 imitate it, many times slower. That is measured, not looked up: torch
    takes other ways for other layers.

    Args:
        model: on its device; its mode is put back afterwards.
        inputs: for it, laid out as in the run.
        precision: ``fp32`` or ``bf16``.

    Returns:
        A note, or None if all is well.
    """
    if precision == "fp32":
        return None

    def forward(kind: str) -> object:
        with precise(inputs.device, kind):
            return model(inputs)

    with evaluating(model):
        ratio = compare_times(lambda: forward(precision), lambda: forward("fp32"), rounds=3, warmup=1).ratio
    if ratio < _SLOW:
        return None
    return (
        f"in {precision} a forward pass of this model takes {ratio:.1f} times as long as in fp32 on this machine; its "
        f"processor may have no instructions for it. Unless you want {precision} for itself, begin anew with fp32"
    )
