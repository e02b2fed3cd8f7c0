"""A search in slices: it can be looked at, stopped, cut into branches, and taken up elsewhere."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

import numpy as np

from . import state
from .branches import Branch, Stretch, weight
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

    def branches(self, share: float = 1.0, grain: float = 1.0) -> list[Branch]:
        """What is left to do, the deepest first.

        Args:
            share: of this search in the whole, by estimate.
            grain: a depth of which more than this is left is handed out in several branches.
        """
        found = []
        span, path = self.stack.span.tolist(), self.stack.entered.tolist()
        limit, closed = int(self.tally.flags[state.SIZE]), bool(self.tally.flags[state.CLOSED])
        # Above the base the siblings belong to other branches.
        for depth in range(self.base[0], int(self.stack.place[0]) + 1):
            begin, place, end, _, size, stop = span[depth]
            begin = self.base[1] if depth == self.base[0] else begin
            whole = weight(end - begin, stop - begin)
            if stop > place:
                items = self.stack.items[place:end].tolist()
                after = int(self.stack.items[place - 1]) if place > span[depth][0] else -1
                left = Stretch(items, stop - place, tuple(path[1 : depth + 1]), after, None if closed else limit - size)
                found.append(left.pieces(share * weight(end - place, stop - place) / whole, grain))
            share *= (end - place + 1) / whole if whole else 0
        return [piece for pieces in found[::-1] for piece in pieces]


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
        walk.stack.span[depth, [1, 5]] = end
        walk.stack.place[0] = depth + 1
    depth = len(branch.path)
    _skip(walk.stack, depth, branch.after)
    begin, place, end = walk.stack.span[depth, :3].tolist()
    if branch.until >= 0:
        stop = begin + int(np.searchsorted(walk.stack.items[begin:end], branch.until, side="right"))
        walk.stack.span[depth, 5] = max(place, stop)
    walk.base = depth, place
    return walk


def _skip(stack: Stack, depth: int, last: int) -> None:
    """Take the candidates up to an item as dealt with."""
    begin, _, end, before = stack.span[depth, :4].tolist()
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
