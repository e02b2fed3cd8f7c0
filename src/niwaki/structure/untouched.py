"""What a forward pass leaves behind, taken back: caches and counters in modules, random numbers, log lines."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_CONTAINERS = (dict, OrderedDict, list, set, deque)
_LOGGER = logging.getLogger("torch._subclasses.fake_tensor")  # reports errors that we catch and tell ourselves


def _put_back(container: Any, content: Any) -> None:
    container.clear()
    container.extend(content) if isinstance(container, list | deque) else container.update(content)


@contextmanager
def untouched(model: nn.Module) -> Generator[None]:
    """Within the ``with`` block the forward may do what it likes; its modules have their attributes back afterwards.

    A table that a forward makes at its first call and keeps would be one without memory, and spoil the model.

    Args:
        model: the model. Values of parameters and buffers are not looked after.

    Yields:
        Nothing.
    """
    before = [(vars(module), dict(vars(module))) for module in model.modules()]
    contents = [(x, x.copy()) for _, saved in before for x in saved.values() if type(x) in _CONTAINERS]
    cuda = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    disabled = _LOGGER.disabled
    with torch.random.fork_rng(devices=sorted(cuda)):
        try:
            _LOGGER.disabled = True
            yield
        finally:
            _LOGGER.disabled = disabled
            for container, content in [*before, *contents]:
                _put_back(container, content)
