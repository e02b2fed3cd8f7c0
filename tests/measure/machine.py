"""A machine of known speed: operators take a time that is a formula of their shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from niwaki.measure.replay import Ready
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

    def __init__(self, formula: Formula = products, whole: float = 1.0) -> None:
        self.now, self.formula, self.whole = 0.0, formula, whole
        self.calls = 0

    def clock(self) -> float:
        return self.now

    def backend(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        seconds = self.formula(it.operation.kind, shapes_at(it, lengths), it.operation.args)

        def call() -> None:
            self.calls += 1
            self.now += seconds

        return Ready(call, lambda: None)

    def forward(self, *_: object) -> None:
        """To be hung on a model as a hook: the whole model takes its time too."""
        self.now += self.whole
