"""A search in slices: it can be looked at, stopped, cut into branches, and taken up elsewhere."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import numpy as np

from . import state
from .layout import Layout
from .memory import clear, grow_stack, new_stack
from .state import Shuffles, Stack, Tally


class Engine(Protocol):
    """A module that searches: `walk_compiled` or `walk_arrays`."""

    def run(self, layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, budget: int) -> int:
        """Go on for so many patterns; says why it stopped."""
        ...

    def visit(self, layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles) -> bool:
        """Take the next candidate; whether there is a deeper one to go on with."""
        ...


@dataclass(frozen=True)
class Branch:
    """A part of the search that is still to be done: what extends a path by items after a certain one.

    Args:
        path: the items by which the pattern was reached.
        after: the last item that has been dealt with there, -1 for none.
        share: of the whole search, by estimate.
        most: no more patterns than this are in it.
    """

    path: tuple[int, ...] = ()
    after: int = -1
    share: float = 1.0
    most: int = 0


@dataclass(eq=False)
class Walk:
    """A search on its way; the arrays are replaced when they grow. ``base`` is the depth and the place it began at."""

    layout: Layout
    stack: Stack
    tally: Tally
    shuffles: Shuffles
    engine: Engine
    base: tuple[int, int] = (0, 0)

    def advance(self, budget: int) -> bool:
        """Go on for at most so many patterns; whether there is more to do."""
        until = int(self.tally.numbers[state.VISITED]) + budget
        while (left := until - int(self.tally.numbers[state.VISITED])) > 0:
            why = self.engine.run(self.layout, self.stack, self.tally, self.shuffles, left)
            if why == state.FINISHED:
                return False
            if why == state.STACK_FULL:
                self.stack = grow_stack(self.stack)
            elif why == state.TALLY_FULL:
                self.tally = clear(self.tally)
        return True

    def branches(self, share: float = 1.0) -> list[Branch]:
        """What is left to do, the deepest first; ``share`` is that of the whole."""
        found = []
        span, path = self.stack.span.tolist(), self.stack.entered.tolist()
        limit, closed = int(self.tally.flags[state.SIZE]), bool(self.tally.flags[state.CLOSED])
        for depth in range(int(self.stack.place[0]) + 1):
            start, place, end, _, size = span[depth]
            if depth < self.base[0]:
                continue  # its siblings belong to other branches
            # A candidate can be extended by those after it, so that early ones are taken to be larger.
            whole = _triangle(end - (self.base[1] if depth == self.base[0] else start))
            left = end - place
            if left:
                after = int(self.stack.items[place - 1]) if place > start else -1
                most = _most(left, None if closed else limit - size)
                found.append(Branch(tuple(path[1 : depth + 1]), after, share * _triangle(left) / whole, most))
            share *= (left + 1) / whole if whole else 0
        return found[::-1]


def _triangle(side: int) -> int:
    return side * (side + 1) // 2


def _most(candidates: int, size: int | None) -> int:
    """How many patterns so many candidates can form."""
    if size is None:
        return (1 << candidates) - 1
    return sum(math.comb(candidates, count) for count in range(1, size + 1))


def start(layout: Layout, tally: Tally, shuffles: Shuffles, engine: Engine, branch: Branch = Branch()) -> Walk:  # noqa: B008
    """A search from the root, or of a branch. Where the threshold has fallen since, less of it may be left."""
    stack = new_stack(layout, float(tally.values[state.LEAST]), int(tally.flags[state.SUPPORT]))
    walk = Walk(layout, stack, tally, shuffles, engine)
    # On the way there nothing is counted: that was done when the branch was cut.
    silent = tally._replace(numbers=tally.numbers.copy(), flags=tally.flags.copy())
    silent.flags[state.MODE], silent.flags[state.LOG] = state.COLLECT, 0
    for depth, item in enumerate(branch.path):
        _skip(walk.stack, depth, item - 1)
        is_full = depth + 2 >= len(walk.stack.words) or walk.stack.span[depth, 2] + len(layout.bits) > len(
            walk.stack.items
        )
        if is_full:
            walk.stack = grow_stack(walk.stack)
        place, end = walk.stack.span[depth, 1:3].tolist()
        is_there = place < end and walk.stack.items[place] == item
        if not is_there or not engine.visit(layout, walk.stack, silent, shuffles):
            walk.stack.place[0] = -1
            return walk
        walk.stack.span[depth, 1] = end
        walk.stack.place[0] = depth + 1
    _skip(walk.stack, len(branch.path), branch.after)
    walk.base = len(branch.path), int(walk.stack.span[len(branch.path), 1])
    return walk


def _skip(stack: Stack, depth: int, last: int) -> None:
    """Take the candidates up to an item as dealt with."""
    begin, _, end, before, _ = stack.span[depth].tolist()
    place = begin + int(np.searchsorted(stack.items[begin:end], last, side="right"))
    stack.gone[before : before + place - begin] = stack.items[begin:place]
    stack.span[depth, 1] = place


@contextmanager
def patience() -> Generator[list[bool]]:
    """Hold back Ctrl-C until a slice is done, so that nothing is left half counted; the list then says so."""
    asked: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


# Rounds of tiny branches are quick for any budget.
_MOST_AT_ONCE = 1 << 22
# Seconds: whoever watches the progress, or stops the search, waits no longer.
_LONGEST = 4.0


class Budget:
    """How many patterns a slice may visit so that it takes about a tenth of a second.

    Where slices travel to other processes or machines, the way there and back takes time, too: then a slice takes four
    times as long as its way, at most some seconds.
    """

    def __init__(self, first: int) -> None:
        self.patterns = first
        self._since = time.perf_counter()

    def adapt(self, worked: float | None = None) -> None:
        """Double or halve the budget by how long the last slice took.

        Args:
            worked: seconds of search, where the rest of the time was spent on the way; all of it by default.
        """
        now = time.perf_counter()
        whole, self._since = now - self._since, now
        worked = whole if worked is None else worked
        wanted = min(max(0.1, 4 * (whole - worked)), _LONGEST)
        if worked < wanted / 2:
            self.patterns = min(2 * self.patterns, _MOST_AT_ONCE)
        elif worked > 2 * wanted:
            self.patterns = max(16, self.patterns // 2)
