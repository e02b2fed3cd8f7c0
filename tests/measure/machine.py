"""A machine of known speed: operators take a time that is a formula of their shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from niwaki.measure.replay import Ready
from niwaki.measure.tape import Operation
from niwaki.measure.variables import Varied, shapes_at

Formula = Callable[[str, list[tuple[int, ...]], tuple[Any, ...]], float]


def products(kind: str, shapes: list[tuple[int, ...]], args: tuple[Any, ...]) -> float:
    """Multiplications of convolutions (stride 1 or 2, same padding) and of linear layers, in nanoseconds."""
    if kind == "conv2d":
        stride = args[3][0] if len(args) > 3 else 1
        where = math.prod(math.ceil(n / stride) for n in shapes[0][2:])
        return shapes[0][0] * where * math.prod(shapes[1]) * 1e-9
    if kind == "linear":
        return math.prod(shapes[0][:-1]) * math.prod(shapes[1]) * 1e-9
    return 0.0


class Machine:
    """Its clock moves only when it computes."""

    def __init__(self, formula: Formula = products, seconds: float = 1.0) -> None:
        self.now, self.formula, self.seconds = 0.0, formula, seconds
        self.calls, self.outside = 0, 0.0

    def calling(self, model: nn.Module, example: Any, clock: Callable[[], float]) -> float:
        return self.outside

    def clock(self) -> float:
        return self.now

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        seconds = self.formula(it.operation.kind, shapes_at(it, lengths), it.operation.args)

        def call() -> None:
            self.calls += 1
            self.now += seconds

        return Ready(call, lambda: None)

    def nothing(self) -> Callable[[], object]:
        return lambda: None

    def kept(self, operations: Sequence[Operation]) -> list[Operation]:
        return list(operations)

    def whole(self, model: nn.Module, example: Any) -> Callable[[], object]:
        def call() -> None:
            self.now += self.seconds

        return call
