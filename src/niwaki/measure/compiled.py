"""Operators and models as `torch.compile` runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .folding import PRODUCTS, folded_when_compiled
from .replay import Eager, Ready, turning
from .tape import Operation, split_example
from .variables import Varied, arguments_at


class Compiled:
    """Compiled operators: products are the library's own kernels, as in eager mode; what lies between is compiled.

    A run of element-wise operators becomes one kernel, which is measured by its widest operator.
    """

    def calling(self, model: nn.Module, example: Any, clock: Callable[[], float]) -> float:
        """Nothing: the calls are compiled, too."""
        return 0.0

    def __init__(self) -> None:
        self._eager = Eager()
        self._made: dict[str, Callable[..., object]] = {}

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        """One operator at given lengths."""
        if it.operation.kind in PRODUCTS:
            return self._eager.ready(it, lengths, device, copies)
        sets = [arguments_at(it, lengths, device) for _ in range(copies)]
        call, before = turning(sets, it, self._compiled(it))
        return Ready(call, before, self._entered(device))

    def nothing(self) -> Callable[[], object]:
        """A call that computes nothing."""
        return self._eager.nothing()

    def _entered(self, device: torch.device) -> Callable[[], object]:
        """What it takes to enter compiled code, which a whole model does once and not at every operator."""
        if "" not in self._made:
            self._made[""] = torch.compile(_more, dynamic=True)
        one, compiled = torch.ones(2, device=device), self._made[""]
        return lambda: compiled(one)

    def kept(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that are not done along with another."""
        return folded_when_compiled(operations)

    def whole(self, model: nn.Module, example: Any) -> Callable[[], object]:
        """The compiled model."""
        args, kwargs = split_example(example)
        compiled = torch.compile(model)
        return lambda: compiled(*args, **kwargs)

    def _compiled(self, it: Varied) -> Callable[..., object]:
        # One compilation per operator and its other settings serves all its widths.
        name = f"{it.operation.op} {[x for x in it.operation.args if isinstance(x, int | float | str | list)]}"
        if name not in self._made:
            op = it.operation.op
            self._made[name] = torch.compile(lambda *args, **kwargs: op(*args, **kwargs), dynamic=True)
        return self._made[name]


def _more(x: Tensor) -> Tensor:
    return x + 1
