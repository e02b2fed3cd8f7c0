"""What the Python of a model takes beyond the operators that it calls."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from torch.overrides import TorchFunctionMode

from .timing import time_in_turns

_ROUNDS = 20
_READINGS = 21


class Stopwatch(TorchFunctionMode):
    """Adds up the seconds inside operators, and counts them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.seconds, self.count, self._clock = 0.0, 0, clock

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call the function, timed."""
        begun = self._clock()
        found = function(*args, **(kwargs or {}))
        self.seconds += self._clock() - begun
        self.count += 1
        return found


def _reading(clock: Callable[[], float]) -> float:
    """Seconds that reading the clock adds to whatever is timed."""
    times = [clock() for _ in range(_READINGS)]
    return statistics.median(after - before for before, after in pairwise(times))


def seconds_of_calling(whole: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of one forward pass outside its operators: calling modules and functions, on a processor busy with them.

    Args:
        whole: the forward pass, where operators are finished when they return: on the CPU.
        clock: gives seconds.

    Returns:
        The median over some rounds; not below zero.
    """
    inside: list[float] = []

    def watched() -> None:
        with Stopwatch(clock) as watch:
            whole()
        # A reading takes about as long as a small operator, and there is one in every time that was added up.
        inside.append(watch.seconds - (watch.count - 1) * _reading(clock))

    found = time_in_turns({"whole": whole, "watched": watched}, rounds=_ROUNDS, warmup=3, clock=clock)
    beyond = [one - within for one, within in zip(found["whole"], inside[-_ROUNDS:], strict=True)]
    return max(statistics.median(beyond), 0.0)
