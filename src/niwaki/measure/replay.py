"""Operators run again, alone, on tensors of other lengths."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .calling import seconds_of_calling
from .tape import Held, Operation, split_example
from .variables import Varied, arguments_at


@dataclass(frozen=True, eq=False)
class Ready:
    """Something to time.

    Args:
        call: what is timed.
        before: what is done outside the timing, before it.
        less: what is timed as well and taken off; by default what a call costs that does nothing.
    """

    call: Callable[[], object]
    before: Callable[[], object]
    less: Callable[[], object] | None = None


def activations(it: Varied, args: Any) -> list[Tensor]:
    """The tensors that in a model some operator has just made, and that therefore lie in the cache."""
    given = [x for x in tree_leaves((it.operation.args, dict(it.operation.kwargs))) if isinstance(x, Held)]
    tensors = [x for x in tree_leaves(args) if isinstance(x, Tensor)]
    return [t for held, t in zip(given, tensors, strict=True) if not held.name and t.is_floating_point()]


class Eager:
    """Operators as torch runs them."""

    def calling(self, model: nn.Module, example: Any, clock: Callable[[], float]) -> float:
        """What the Python of the model takes, measured on the CPU; elsewhere the device computes meanwhile."""
        tensors = [x for x in (*model.parameters(), *tree_leaves(example)) if isinstance(x, Tensor)]
        if any(x.device.type != "cpu" for x in tensors):
            return 0.0
        with torch.inference_mode():
            return seconds_of_calling(self.whole(model, example), clock)

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        """One operator at given lengths.

        Args:
            it: the operator.
            lengths: one per variable.
            device: where.
            copies: how many sets of weights take turns, as many as layers of this kind have in the model: weights that
                were used a moment ago would lie in the cache, where those of a model do not.

        Returns:
            What is to be timed.
        """
        sets = [arguments_at(it, lengths, device) for _ in range(copies)]
        return Ready(*turning(sets, it, it.operation.op))

    def nothing(self) -> Callable[[], object]:
        """A call that computes nothing."""
        return lambda: None

    def kept(self, operations: Sequence[Operation]) -> list[Operation]:
        """All of them."""
        return list(operations)

    def whole(self, model: nn.Module, example: Any) -> Callable[[], object]:
        """The model itself."""
        args, kwargs = split_example(example)
        return lambda: model(*args, **kwargs)


def turning(sets: Sequence[Any], it: Varied, op: Callable[..., object]) -> tuple[Callable[[], object], ...]:
    """A call that takes other arguments each time, and what chooses them and brings activations into the cache."""
    turns = itertools.cycle(sets)
    fresh = {id(given): activations(it, given) for given in sets}
    chosen: list[Any] = [sets[0]]

    def before() -> None:
        chosen[0] = next(turns)
        for tensor in fresh[id(chosen[0])]:
            tensor.mul_(1)

    def call() -> object:
        args, kwargs = chosen[0]
        return op(*args, **kwargs)

    return call, before
