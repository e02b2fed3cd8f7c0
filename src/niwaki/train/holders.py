"""Which sparsifier holds a tensor now: two on the same one would undo each other's masks."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from ..core.errors import TrainError

if TYPE_CHECKING:
    from .sparsifier import Sparsifier

_HELD = cast("MutableMapping[Tensor, Any]", WeakTensorKeyDictionary())
"""The attached sparsifier of each tensor. Both sides are weak: nothing lives longer for standing here."""


def hold(tensors: Mapping[str, Tensor], sparsifier: Sparsifier) -> None:
    """Claim tensors for a sparsifier that is being attached.

    Args:
        tensors: those of its groups.
        sparsifier: the one that will mask them.

    Raises:
        TrainError: another one holds one of them; nothing is claimed then.
    """
    for name, tensor in tensors.items():
        reference = _HELD.get(tensor)
        other = reference() if reference is not None else None
        if other is not None and other is not sparsifier:
            raise TrainError(
                f"{name!r} is held by another sparsifier, at step {other.step} of its plan, whose masks would be "
                "mixed with these; detach() that one first, or give the two groups without a tensor in common"
            )
    for tensor in tensors.values():
        _HELD[tensor] = weakref.ref(sparsifier)


def let_go(tensors: Mapping[str, Tensor]) -> None:
    """Free the tensors of a sparsifier that was detached."""
    for tensor in tensors.values():
        _HELD.pop(tensor, None)
