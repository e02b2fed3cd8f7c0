"""One pass over all patterns: in this process, or its branches dealt out to several."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import cast

import numpy as np

from . import state
from .bounds import upper
from .findings import Ints, Progress
from .ladder import capacity
from .layout import Layout
from .memory import clear, merge
from .slices import Branch, Budget, Engine, Walk, patience, start
from .state import Shuffles, Tally

FIRST_SLICE = 256


@dataclass(frozen=True, eq=False)
class Job:
    """What a pass works on, and with what.

    Args:
        layout: the data.
        shuffles: shuffled labels, or none.
        engine: the module that searches.
        workers: how many processes; 1 stays in this one.
        progress: is told how far the pass has come.
        stage: what the pass is called when it tells.
    """

    layout: Layout
    shuffles: Shuffles
    engine: str
    workers: int = 1
    progress: Callable[[Progress], None] | None = None
    stage: str = "search"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a pass has counted, and the branches it was kept from looking at."""

    tally: Tally
    left: list[Branch]


def engine_of(name: str) -> Engine:
    """The module that searches, by its name."""
    return cast("Engine", import_module(f".{name}", __package__))


def _tell(job: Job, tally: Tally, share: float) -> None:
    if job.progress is not None:
        testable, visited = int(tally.numbers[state.TESTABLE]), int(tally.numbers[state.VISITED])
        job.progress(Progress(share, threshold_of(tally), testable, visited, job.stage))


def threshold_of(tally: Tally) -> float:
    """The threshold that the attainable p-values are held against."""
    from .bounds import p_value

    if tally.flags[state.MODE] == state.CLIMB:
        alpha = float(tally.values[state.ALPHA])
        return alpha / capacity(int(tally.numbers[state.RUNG]), bool(tally.flags[state.EXACT]), alpha)
    return float(p_value(np.array(tally.values[state.LEAST] / state.SLACK)))


def run_pass(job: Job, tally: Tally) -> Outcome:
    """Search everything. Ctrl-C, or a ``KeyboardInterrupt`` from ``progress``, ends the pass early."""
    if job.workers > 1:
        return _dealt_out(job, tally)
    walk = start(job.layout, tally, job.shuffles, engine_of(job.engine))
    budget, share = Budget(FIRST_SLICE), 0.0
    try:
        going = True
        while going:
            with patience() as asked:
                going = walk.advance(budget.patterns)
            if asked:
                return Outcome(walk.tally, walk.branches())
            if going:  # rounding must not make it seem to go back
                share = max(share, 1 - sum(branch.share for branch in walk.branches()))
                _tell(job, walk.tally, share)
            budget.adapt()
        _tell(job, walk.tally, 1.0)
    except KeyboardInterrupt:
        return Outcome(walk.tally, walk.branches())
    return Outcome(walk.tally, [])


@dataclass(frozen=True, eq=False)
class _Share:
    """What a worker hands back, and how long it searched; the histogram as rungs and counts: it is mostly empty."""

    tally: Tally
    best: np.ndarray
    rungs: Ints
    counts: Ints
    left: list[Branch]
    seconds: float


def _own(array: np.ndarray) -> np.ndarray:
    """An array that can be written: some backends hand over what cannot, and the search is compiled for what can."""
    plain = np.asarray(array)
    return plain if plain.flags.writeable else plain.copy()


def _work(job: Job, tally: Tally, branches: list[Branch], budget: int, rungs: int) -> _Share:
    """Search some branches for a while, with counts of its own from zero: they can only lag behind those of all."""
    # Workers that are threads see the same arrays: each needs its own. Ctrl-C ends processes that joblib started
    # here and no more: Python would print where they were.
    here = multiprocessing.current_process().name
    if here.startswith("LokyProcess") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    began = time.perf_counter()
    flags = tally.flags.copy()
    own = _empty(tally)._replace(histogram=np.zeros(rungs, np.int64), values=tally.values.copy(), flags=flags)
    layout = job.layout._replace(**{name: _own(part) for name, part in job.layout._asdict().items()})
    shuffles = Shuffles(_own(job.shuffles.masks), job.shuffles.best.copy(), job.shuffles.found.copy())
    left: list[Branch] = []
    for branch in branches:
        visited = int(own.numbers[state.VISITED])
        if visited >= budget:
            left.append(branch)
            continue
        walk = start(layout, own, shuffles, engine_of(job.engine), branch)
        walk.advance(budget - visited)
        own = walk.tally
        left += walk.branches(branch.share)
    done = clear(own)
    found = np.flatnonzero(done.histogram)
    counts = done.histogram[found]
    spent = time.perf_counter() - began
    return _Share(done._replace(histogram=counts[:0]), shuffles.best, found, counts, left, spent)


def _empty(tally: Tally) -> Tally:
    """The thresholds and settings of a tally, and nothing counted: what a worker begins with."""
    numbers = np.zeros_like(tally.numbers)
    numbers[state.RUNG] = tally.numbers[state.RUNG]
    some = 256
    return tally._replace(
        histogram=tally.histogram[:0],
        numbers=numbers,
        best=np.zeros((3, some)),
        kept=np.zeros((2, some)),
        cells=np.zeros((some, tally.cells.shape[1]), np.int32),
        ends=np.zeros(some, np.int64),
        members=np.zeros(some + 8 * 4096, np.int32),
    )


def _settled(tally: Tally, share: _Share, shuffles: Shuffles) -> Tally:
    """Take over what a worker has found, and move the threshold to where all counts together put it."""
    histogram, values = tally.histogram, tally.values
    own = share.tally
    tally = merge(tally._replace(histogram=histogram[:0]), own)._replace(histogram=histogram)
    numbers, mode = tally.numbers, tally.flags[state.MODE]
    if mode == state.CLIMB:
        histogram[share.rungs] += share.counts
        exact, alpha = bool(tally.flags[state.EXACT]), float(values[state.ALPHA])
        rung = max(int(numbers[state.RUNG]), int(own.numbers[state.RUNG]))
        count = int(histogram[rung:].sum())
        while count > capacity(rung, exact, alpha) and rung < len(histogram) - 1:
            count -= int(histogram[rung])
            rung += 1
        numbers[state.RUNG], numbers[state.TESTABLE] = rung, count
        values[state.DELTA] = min(values[state.DELTA], alpha / capacity(rung, exact, alpha))
        if values[state.DELTA] < 1:
            values[state.LEAST] = max(values[state.LEAST], upper(float(values[state.DELTA])) * state.SLACK)
        if exact:
            values[state.KEEP] = values[state.LEAST]
    else:
        numbers[state.TESTABLE] += own.numbers[state.TESTABLE]
    if mode == state.SHUFFLE:
        np.maximum(shuffles.best, share.best, out=shuffles.best)
        rank = int(tally.flags[state.RANK])
        values[state.LEAST] = values[state.KEEP] = np.partition(shuffles.best, -rank)[-rank] * state.SLACK
    return tally


def _dealt_out(job: Job, tally: Tally) -> Outcome:
    """Rounds of branches: each worker searches one for a while and hands back what it found and what is left of it."""
    from joblib import Parallel, delayed

    quiet = Job(job.layout, job.shuffles, job.engine)
    root = start(job.layout, _empty(tally), job.shuffles, engine_of(job.engine))
    left, budget, rungs = root.branches(), Budget(FIRST_SLICE), len(tally.histogram)
    try:
        with Parallel(n_jobs=job.workers, mmap_mode="c") as parallel:
            while left:
                left.sort(key=lambda branch: -branch.share)
                bundles = [left[first :: job.workers] for first in range(min(job.workers, len(left)))]
                blank = _empty(tally)  # what was counted so far need not travel
                shares = parallel(delayed(_work)(quiet, blank, bundle, budget.patterns, rungs) for bundle in bundles)
                for share in shares:
                    tally = _settled(tally, share, job.shuffles)
                tally, left = clear(tally), [branch for share in shares for branch in share.left]
                budget.adapt(max(share.seconds for share in shares))
                _tell(job, tally, 1 - sum(branch.share for branch in left))
    except KeyboardInterrupt:
        return Outcome(tally, left)
    return Outcome(tally, left)


__all__ = ["Job", "Outcome", "Walk", "engine_of", "run_pass", "threshold_of"]
