"""Measuring many operators at many lengths: in turns, cell by cell, kept as it comes."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from ..core.errors import said
from .replay import Ready
from .tape import Operation
from .timing import time_in_turns
from .variables import Varied

Lengths = tuple[int, ...]
Clock = Callable[[], float]
Progress = Callable[[int, int], None]
"""Called with how many points are measured and how many there are."""


class Backend(Protocol):
    """What makes operators callable."""

    def calling(self, model: nn.Module, example: Any, clock: Clock) -> float:
        """Seconds of a model outside its operators: what calling them takes."""
        ...

    def ready(self, it: Varied, lengths: Sequence[int], device: torch.device, copies: int) -> Ready:
        """One operator at given lengths, to be timed."""
        ...

    def nothing(self) -> Callable[[], object]:
        """A call that computes nothing."""
        ...

    def kept(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that cost time of their own."""
        ...

    def whole(self, model: nn.Module, example: Any) -> Callable[[], object]:
        """The whole model, to be timed."""
        ...


@dataclass(frozen=True)
class Point:
    """One measured cost: the median in seconds, and the distance between the quartiles over it."""

    seconds: float
    spread: float


class Keeper(Protocol):
    """Keeps measured points."""

    def get(self, key: str) -> Mapping[Lengths, Point]:
        """What is known of one operator."""
        ...

    def put(self, key: str, lengths: Lengths, point: Point) -> None:
        """Keep one more."""
        ...


@dataclass(frozen=True, eq=False)
class Wanted:
    """An operator to measure: how often the model calls it, and at which lengths."""

    it: Varied
    count: int
    points: tuple[Lengths, ...]


@dataclass(frozen=True)
class Care:
    """How carefully to time.

    Args:
        rounds: timed rounds of each cell.
        warmup: rounds before.
        spread: what is measured again.
        attempts: how often at most.
        copies: sets of weights at most.
        clock: gives seconds. If not given, one thread on the CPU is timed by what it computed, without the time that
            other programs took from it; everything else by the clock on the wall.
    """

    rounds: int = 15
    warmup: int = 2
    spread: float = 0.15
    attempts: int = 3
    copies: int = 4
    clock: Clock | None = None

    def clock_for(self, device: torch.device, threads: int) -> Clock:
        """The clock to time with."""
        alone = device.type == "cpu" and threads == 1
        return self.clock or (time.thread_time if alone else time.perf_counter)


_EMPTY = ""
_PARTS = 16


def cells_of(wanted: Mapping[str, Wanted], known: Keeper) -> dict[Lengths, list[tuple[str, Lengths]]]:
    """What is still to be measured, by the share of its axes that is gone, in sixteenths.

    The operators of one cell are timed in turns, in the model's order: together they are about the model at one width,
    so that memory and caches are about as full as they will be.
    """
    cells: dict[Lengths, list[tuple[str, Lengths]]] = {}
    again: Counter[tuple[str, Lengths]] = Counter()
    for key, want in wanted.items():
        whole = [max(axis) for axis in zip(*want.points, strict=True)]
        have = known.get(key)
        for point in want.points:
            at = tuple(round(_PARTS * (1 - n / size)) for n, size in zip(point, whole, strict=True))
            cell = at if len(at) > 1 else at * 2 if at else (0, 0)
            if point not in have:
                # An operator stands in a cell once.
                cells.setdefault((*cell, again[key, cell]), []).append((key, point))
                again[key, cell] += 1
    return dict(sorted(cells.items()))


_LESS = "less "


def _spread(seconds: Sequence[float], whole: float) -> float:
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / whole if whole > 0 else 0.0


def _point(key: str, found: Mapping[str, list[float]]) -> Point:
    # Round by round: what slows a round slows both.
    less = found.get(_LESS + key, found[_EMPTY])
    seconds = [a - b for a, b in zip(found[key], less, strict=True)]
    middle = statistics.median(seconds)
    return Point(max(middle, 0.0), _spread(seconds, middle))


def _timed(ready: Mapping[str, Ready], nothing: Callable[[], object], care: Care, clock: Clock) -> dict[str, Point]:
    """Time them until they are calm; of several attempts the calmest counts, chosen by spread and never by time."""
    best: dict[str, Point] = {}
    left = dict(ready)
    for attempt in range(care.attempts):
        calls, before = {_EMPTY: nothing}, {}
        for key, it in left.items():
            for name, call in ((key, it.call), (_LESS + key, it.less)):
                if call is not None:
                    calls[name], before[name] = call, it.before
        warmup = care.warmup if attempt == 0 else 1
        found = time_in_turns(calls, rounds=care.rounds, warmup=warmup, before=before, clock=clock)
        for key in left:
            point = _point(key, found)
            if key not in best or point.spread < best[key].spread:
                best[key] = point
        left = {key: ready[key] for key, point in best.items() if point.spread > care.spread}
        if not left:
            break
    return best


def measure(
    wanted: Mapping[str, Wanted],
    keeper: Keeper,
    backend: Backend,
    *,
    device: torch.device,
    care: Care,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Measure what is not known yet.

    Args:
        wanted: operators by key, in the model's order.
        keeper: has what is known, and gets each point as it is measured.
        backend: makes operators callable.
        device: where.
        care: how carefully.
        progress: is told how far it is.

    Returns:
        Operators that do not run alone, with the reason.
    """
    cells, clock = cells_of(wanted, keeper), care.clock_for(device, torch.get_num_threads())
    total, done, nothing = sum(map(len, cells.values())), 0, backend.nothing()
    failed: dict[str, str] = {}
    for cell in cells.values():
        ready: dict[str, Ready] = {}
        at = {key: lengths for key, lengths in cell}
        for key, lengths in cell:
            copies = max(1, min(wanted[key].count, care.copies))
            try:
                ready[key] = backend.ready(wanted[key].it, lengths, device, copies)
                ready[key].before()
                ready[key].call()
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                ready.pop(key, None)
                failed[key] = said(error)
        for key, point in _timed(ready, nothing, care, clock).items():
            keeper.put(key, at[key], point)
        done += len(cell)
        if progress is not None:
            progress(done, total)
    return failed
