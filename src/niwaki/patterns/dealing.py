"""Branches of a search dealt out to workers, turn by turn: threads, processes, or machines."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from dataclasses import dataclass

import numpy as np

from . import state
from .bounds import upper
from .branches import Branch
from .budgets import Budget, Turn
from .findings import Ints
from .job import Job, Outcome, engine_of
from .ladder import capacity
from .memory import clear, cleared_now_and_then, merge
from .slices import start
from .state import Shuffles, Tally

# Seconds of the first turn; patterns between two looks at the clock, at first; branches wanted for each worker.
FIRST_TURN = 0.005
FIRST_STEP = 16
_BRANCHES = 8
# Seconds between two looks at the clock.
_STEP = 0.002


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


@dataclass(frozen=True)
class _Lot:
    """What one worker is to do: some branches, for so many seconds, and how finely to cut what is left of them."""

    branches: list[Branch]
    seconds: float
    grain: float = 1.0


def _end_quietly() -> None:
    """Let Ctrl-C end processes that joblib started here and no more: Python would print where they were."""
    here = multiprocessing.current_process().name
    if here.startswith("LokyProcess") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _work(job: Job, tally: Tally, lot: _Lot, rungs: int) -> _Share:
    """Search some branches for a while, with counts of its own from zero: they can only lag behind those of all."""
    _end_quietly()
    began = time.perf_counter()
    # Workers that are threads see the same arrays: each needs its own.
    flags = tally.flags.copy()
    own = _empty(tally)._replace(histogram=np.zeros(rungs, np.int64), values=tally.values.copy(), flags=flags)
    layout = job.layout._replace(**{name: _own(part) for name, part in job.layout._asdict().items()})
    shuffles = Shuffles(_own(job.shuffles.masks), job.shuffles.best.copy(), job.shuffles.found.copy())
    left: list[Branch] = []
    step = Budget(FIRST_STEP, _STEP)
    for place, branch in enumerate(lot.branches):
        if place and time.perf_counter() - began >= lot.seconds:
            left += lot.branches[place:]
            break
        walk = start(layout, own, shuffles, engine_of(job.engine), branch)
        while walk.advance(step.patterns) and time.perf_counter() - began < lot.seconds:
            step.adapt()
        own = walk.tally
        left += walk.branches(branch.share, lot.grain)
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


def _lots(left: list[Branch], workers: int, seconds: float) -> list[_Lot]:
    """The branches in lots of about equal size, the largest first in each."""
    grain = sum(branch.share for branch in left) / (_BRANCHES * workers)
    left.sort(key=lambda branch: -branch.share)
    return [_Lot(left[first::workers], seconds, grain) for first in range(min(workers, len(left)))]


def dealt_out(job: Job, tally: Tally) -> Outcome:
    """Turns: each worker searches some branches for a while and hands back what it found and what is left of them."""
    from joblib import Parallel, delayed

    quiet = Job(job.layout, job.shuffles, job.engine)
    root = start(job.layout, _empty(tally), job.shuffles, engine_of(job.engine))
    left, turn, rungs = root.branches(grain=1 / (_BRANCHES * job.workers)), Turn(FIRST_TURN), len(tally.histogram)
    # Compiled code runs without the interpreter's lock: threads share the data, and are there at once.
    prefer, filled = "threads" if job.engine == "walk_compiled" else "processes", 0
    try:
        with Parallel(n_jobs=job.workers, mmap_mode="c", prefer=prefer) as parallel:
            while left:
                blank = _empty(tally)  # what was counted so far need not travel
                lots = _lots(left, job.workers, turn.seconds)
                shares = parallel(delayed(_work)(quiet, blank, lot, rungs) for lot in lots)
                for share in shares:
                    tally = _settled(tally, share, job.shuffles)
                tally, filled = cleared_now_and_then(tally, filled)
                left = [branch for share in shares for branch in share.left]
                turn.adapt([share.seconds for share in shares] + [0.0] * (job.workers - len(shares)))
                job.tell(tally, 1 - sum(branch.share for branch in left))
    except KeyboardInterrupt:
        pass
    return Outcome(clear(tally), left)
