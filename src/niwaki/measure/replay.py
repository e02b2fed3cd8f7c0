"""Operators run again, alone, on tensors of other lengths."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .tape import Held
from .variables import Varied, arguments_at


@dataclass(frozen=True, eq=False)
class Ready:
    """Something to time: the call, and what is done before it outside the timing."""

    call: Callable[[], object]
    before: Callable[[], object]


def activations(it: Varied, args: Any) -> list[Tensor]:
    """The tensors that in a model some operator has just made, and that therefore lie in the cache."""
    given = [x for x in tree_leaves((it.operation.args, dict(it.operation.kwargs))) if isinstance(x, Held)]
    tensors = [x for x in tree_leaves(args) if isinstance(x, Tensor)]
    return [t for held, t in zip(given, tensors, strict=True) if not held.name and t.is_floating_point()]


def eager(it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
    """An operator as torch runs it.

    Args:
        it: the operator.
        lengths: one per variable.
        device: where.
        copies: how many sets of weights take turns, as many as layers of this kind have in the model: weights that
            were used a moment ago would lie in the cache, where those of a model do not.

    Returns:
        The call.
    """
    sets = [arguments_at(it, lengths, device) for _ in range(copies)]
    fresh = activations(it, sets[0])
    turns = itertools.cycle(sets)
    op = it.operation.op
    chosen: list[Any] = [sets[0]]

    def before() -> None:
        chosen[0] = next(turns)
        for tensor in activations(it, chosen[0]) if copies > 1 else fresh:
            tensor.mul_(1)

    def call() -> object:
        args, kwargs = chosen[0]
        return op(*args, **kwargs)

    return Ready(call, before)
