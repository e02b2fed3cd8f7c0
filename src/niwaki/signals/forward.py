"""The model run forward only, without a trace on it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..core.names import bare_model
from .batches import Batch, check_batches, on_device
from .gradients import check_count
from .pure import Stepper, arguments, detached_state, pair

Forward = Callable[[nn.Module, Batch], Any]
"""Runs the model on a batch; what it gives is not looked at."""


def forward_only(model: nn.Module, batch: Batch) -> Any:
    """Call a model on the inputs of a batch.

    Args:
        model: the model.
        batch: a tensor or a mapping is the inputs alone; anything else must be a pair (inputs, target).

    Returns:
        The model's output.
    """
    args, kwargs = arguments(batch if isinstance(batch, (Tensor, Mapping)) else pair(batch)[0])
    return model(*args, **kwargs)


@contextmanager
def evaluating(model: nn.Module) -> Generator[None, None, None]:
    """All modules in `eval` mode; afterwards each is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def run_forward(model: nn.Module, forward: Forward, batches: Iterable[Batch]) -> None:
    """Run a model on every batch, without gradients; its buffers are copied, so that it stays as it is.

    Args:
        model: the model, wrapped or not, in the mode it is in; batches are brought to where its first tensor is.
        forward: calls it on a batch.
        batches: the batches; none at all is an error.
    """
    check_batches(batches)
    inner, count = bare_model(model), 0
    stepper, held = Stepper(inner, forward), next(chain(inner.parameters(), inner.buffers()), None)
    with torch.no_grad():
        for batch in batches:
            there = batch if held is None else on_device(batch, held.device)
            functional_call(stepper, detached_state(stepper), (there,))
            count += 1
    check_count(count)
