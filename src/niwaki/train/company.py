"""The sparsifiers that hang on one optimizer: its update is one for all of them."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from torch.optim import Optimizer

from .surgery import beside, clear_gradients, scale_rates

if TYPE_CHECKING:
    from .sparsifier import Sparsifier

_HANGING: weakref.WeakKeyDictionary[Optimizer, list[weakref.ref[Sparsifier]]] = weakref.WeakKeyDictionary()
"""In the order in which they were attached, which is that of their hooks. Nothing lives longer for standing here."""


def company(optimizer: Optimizer) -> list[Sparsifier]:
    """The sparsifiers on an optimizer, in the order in which they hear of its steps."""
    found = [reference() for reference in _HANGING.get(optimizer, [])]
    return [one for one in found if one is not None]


def join(optimizer: Optimizer, sparsifier: Sparsifier) -> None:
    """Add one that is being attached."""
    _HANGING[optimizer] = [weakref.ref(one) for one in [*company(optimizer), sparsifier]]


def part(optimizer: Optimizer, sparsifier: Sparsifier) -> None:
    """Take one out that is detached."""
    _HANGING[optimizer] = [weakref.ref(one) for one in company(optimizer) if one is not sparsifier]


def hold_still(optimizer: Optimizer) -> None:
    """Drop the gradients of all that is to stand still in the coming update, once every sparsifier has heard them.

    Where one explores and freezes, that is everything but what it explores and what others explore meanwhile.

    Args:
        optimizer: about to update.
    """
    those = company(optimizer)
    if any(one._replaces for one in those):
        clear_gradients(optimizer)
    elif any(one._is_frozen for one in those):
        explored = [tensor for one in those if one.is_exploring for tensor in one._body.tensors.values()]
        clear_gradients(optimizer, beside(optimizer, explored))


def slow_down(optimizer: Optimizer) -> list[float]:
    """Scale the learning rate for those that explore: by the smallest of their factors, and once.

    Args:
        optimizer: about to update.

    Returns:
        The rates as they were, for `restore_rates`; nothing if they stay.
    """
    rates = [one.plan.explore_rate for one in company(optimizer) if one.is_exploring]
    return scale_rates(optimizer, min(rates)) if rates and min(rates) != 1.0 else []
