"""What one pass over all patterns works on, what it says on the way, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import numpy as np

from . import state
from .bounds import p_value
from .branches import Branch
from .findings import Progress
from .ladder import capacity
from .layout import Layout
from .slices import Engine
from .state import Shuffles, Tally


@dataclass(frozen=True, eq=False)
class Job:
    """What a pass works on, and with what.

    Args:
        layout: the data.
        shuffles: shuffled labels, or none.
        engine: the module that searches.
        workers: how many; 1 stays in this process.
        progress: is told how far the pass has come.
        stage: what the pass is called when it tells.
    """

    layout: Layout
    shuffles: Shuffles
    engine: str
    workers: int = 1
    progress: Callable[[Progress], None] | None = None
    stage: str = "search"

    def tell(self, tally: Tally, share: float) -> None:
        """Say how far the pass has come."""
        if self.progress is not None:
            testable, visited = int(tally.numbers[state.TESTABLE]), int(tally.numbers[state.VISITED])
            self.progress(Progress(share, threshold_of(tally), testable, visited, self.stage))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a pass has counted, and the branches it was kept from looking at."""

    tally: Tally
    left: list[Branch]


def engine_of(name: str) -> Engine:
    """The module that searches, by its name."""
    return cast("Engine", import_module(f".{name}", __package__))


def threshold_of(tally: Tally) -> float:
    """The threshold that the attainable p-values are held against."""
    if tally.flags[state.MODE] == state.CLIMB:
        alpha = float(tally.values[state.ALPHA])
        return alpha / capacity(int(tally.numbers[state.RUNG]), bool(tally.flags[state.EXACT]), alpha)
    return float(p_value(np.array(tally.values[state.LEAST] / state.SLACK)))
