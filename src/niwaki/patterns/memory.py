"""Making, growing and clearing the memory of a search."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import state
from .bounds import envelope, upper
from .ladder import RUNGS_EXACT, RUNGS_GRID
from .layout import Layout
from .settings import Search
from .shuffling import allowed
from .state import Stack, Tally

_DEPTHS = 16
_ROWS = 4096


def new_stack(layout: Layout, least: float, min_support: int) -> Stack:
    """A search that has not yet begun: all samples, and the items that could lead to something as candidates."""
    strata, words, width = len(layout.sizes), len(layout.full), len(layout.bits)
    stack = Stack(
        where=np.zeros((_DEPTHS, words), np.int32),
        words=np.zeros((_DEPTHS, words), np.uint64),
        cells=np.zeros((_DEPTHS, 2 * strata + 1), np.int64),
        items=np.zeros(4 * width, np.int32),
        span=np.zeros((_DEPTHS, 6), np.int64),
        gone=np.zeros(width, np.int32),
        members=np.zeros(width, np.int32),
        entered=np.zeros(_DEPTHS, np.int32),
        place=np.zeros(1, np.int64),
        margins=np.zeros((5, strata)),
        counts=np.zeros(2 * strata, np.int64),
    )
    stack.where[:] = np.arange(words)
    stack.words[0] = layout.full
    stack.cells[:] = layout.cells
    x = layout.supports
    candidates = np.flatnonzero((envelope(x, layout.sizes, layout.ones) >= least) & (x.sum(axis=1) >= min_support))
    stack.items[: len(candidates)] = candidates
    stack.span[0, [2, 5]] = len(candidates)
    return stack


def _longer(array: NDArray[Any], axis: int = 0) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)], axis=axis)


def grow_stack(stack: Stack) -> Stack:
    """The same place in twice the memory."""
    return stack._replace(
        **{name: _longer(getattr(stack, name)) for name in ("where", "words", "cells", "items", "span", "entered")}
    )


def new_tally(layout: Layout, search: Search, mode: int, *, log: bool = True) -> Tally:
    """Nothing counted yet; the threshold at its highest."""
    exact, strata = search.rule == "exact", len(layout.sizes)
    tally = Tally(
        histogram=np.zeros((RUNGS_EXACT if exact else RUNGS_GRID) if mode == state.CLIMB else 1, np.int64),
        numbers=np.zeros(7, np.int64),
        values=np.array([search.alpha, 0.0, 0.0, 1.0]),
        flags=np.zeros(7, np.int64),
        best=np.zeros((3, _ROWS)),
        kept=np.zeros((2, _ROWS)),
        cells=np.zeros((_ROWS, 2 * strata), np.int32),
        ends=np.zeros(_ROWS, np.int64),
        members=np.zeros(max(_ROWS, 4 * len(layout.bits)), np.int32),
    )
    tally.flags[state.MODE], tally.flags[state.EXACT], tally.flags[state.LOG] = mode, exact, log
    tally.flags[state.SUPPORT] = search.min_support
    tally.flags[state.SIZE], tally.flags[state.CLOSED] = search.max_size or 0, search.max_size is None
    if mode == state.SHUFFLE:
        tally.flags[state.RANK] = allowed(search.alpha, search.permutations) + 1
    elif mode == state.CLIMB:
        tally.values[state.KEEP] = upper(search.alpha) * state.SLACK
        if exact:
            tally.values[state.LEAST], tally.values[state.DELTA] = tally.values[state.KEEP], search.alpha
    return tally


def clear(tally: Tally) -> Tally:
    """Drop what is no longer testable; more memory where more than half of it stays filled."""
    numbers, least = tally.numbers, tally.values[state.LEAST]
    best = tally.best[:, : numbers[state.LOGGED]]
    best = best[:, best[0] >= least]
    rows = int(numbers[state.KEPT])
    stays = (tally.kept[0, :rows] >= least) & (tally.kept[1, :rows] >= tally.values[state.KEEP])
    sizes = np.diff(tally.ends[:rows], prepend=0)
    members = tally.members[: numbers[state.MEMBERS]][np.repeat(stays, sizes)]
    numbers[state.LOGGED], numbers[state.KEPT], numbers[state.MEMBERS] = best.shape[1], stays.sum(), len(members)
    return tally._replace(
        best=_fitted(best, tally.best.shape[1], axis=1),
        kept=_fitted(tally.kept[:, :rows][:, stays], tally.kept.shape[1], axis=1),
        cells=_fitted(tally.cells[:rows][stays], len(tally.cells)),
        ends=_fitted(np.cumsum(sizes[stays]), len(tally.ends)),
        members=_fitted(members, len(tally.members)),
    )


def _fitted(array: NDArray[Any], room: int, axis: int = 0) -> NDArray[Any]:
    """The array in as much memory as before, or in four times what it fills."""
    filled = array.shape[axis]
    wanted = list(array.shape)
    wanted[axis] = room if 2 * filled <= room else 4 * filled
    fresh = np.zeros(wanted, array.dtype)
    fresh[tuple(slice(n) for n in array.shape)] = array
    return fresh


def cleared_now_and_then(tally: Tally, last: int) -> tuple[Tally, int]:
    """The tally, cleared where it has doubled since it last was; and how much was in it then."""
    if tally.numbers[state.LOGGED] + tally.numbers[state.KEPT] < 2 * last:
        return tally, last
    tally = clear(tally)
    return tally, int(tally.numbers[state.LOGGED] + tally.numbers[state.KEPT])


def merge(tally: Tally, other: Tally) -> Tally:
    """What two searches have counted and kept, together; the threshold is not yet moved."""
    rows, more = int(tally.numbers[state.KEPT]), int(other.numbers[state.KEPT])
    logged = [t.best[:, : t.numbers[state.LOGGED]] for t in (tally, other)]
    members = [t.members[: t.numbers[state.MEMBERS]] for t in (tally, other)]
    numbers = tally.numbers.copy()
    for name in (state.VISITED, state.LOGGED, state.KEPT, state.MEMBERS):
        numbers[name] += other.numbers[name]
    return tally._replace(
        histogram=tally.histogram + other.histogram,
        numbers=numbers,
        best=np.concatenate(logged, axis=1),
        kept=np.concatenate([tally.kept[:, :rows], other.kept[:, :more]], axis=1),
        cells=np.concatenate([tally.cells[:rows], other.cells[:more]]),
        ends=np.concatenate([tally.ends[:rows], other.ends[:more] + tally.numbers[state.MEMBERS]]),
        members=np.concatenate(members),
    )
