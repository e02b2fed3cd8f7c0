"""Honest latency: how long models take on this machine, in turns, with the doubt that remains."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ..core.errors import TrainError
from .memory import kept_memory
from .tape import split_example
from .timing import check_rounds, pinned, time_in_turns

_RESAMPLES = 2000
_CALLS_AT_MOST = 1000


@dataclass(frozen=True)
class Timing:
    """How long one model takes.

    Args:
        name: of the model.
        seconds: of one call, round by round.
        median: of these.
        spread: the distance between their quartiles, over the median.
        ratio: the median over that of the first model; below one is faster.
        low: the lower end of the ratio's 95 % interval.
        high: its upper end.
    """

    name: str
    seconds: tuple[float, ...]
    median: float
    spread: float
    ratio: float
    low: float
    high: float

    @property
    def is_faster(self) -> bool:
        """Whether the whole interval lies below one."""
        return self.high < 1

    @property
    def is_slower(self) -> bool:
        """Whether the whole interval lies above one."""
        return self.low > 1


@dataclass(frozen=True)
class Timings:
    """How long several models take, measured in the same minutes.

    Args:
        rows: one per model, in the order given.
        threads: of torch on the CPU.
        attempts: how often it was measured until no spread was too large; the calmest attempt is the one reported.
        is_calm: whether it ever was.
    """

    rows: tuple[Timing, ...]
    threads: int
    attempts: int
    is_calm: bool

    def __getitem__(self, name: str) -> Timing:
        """The timing of one model."""
        return {row.name: row for row in self.rows}[name]


@contextmanager
def _quiet(models: Sequence[Callable[..., object]], threads: int) -> Generator[None, None, None]:
    """A number of threads, no gradients, and modules in `eval` mode; afterwards everything is as it was."""
    training = [part for m in models if isinstance(m, nn.Module) for part in m.modules() if part.training]
    for part in training:
        part.training = False
    try:
        with pinned(threads), torch.inference_mode(), kept_memory():
            yield
    finally:
        for part in training:
            part.training = True


def _calls(models: Mapping[str, Callable[..., object]], inputs: Any) -> dict[str, Callable[[], object]]:
    args, kwargs = split_example(inputs)

    def bound(model: Callable[..., object]) -> Callable[[], object]:
        return lambda: model(*args, **kwargs)

    return {name: bound(model) for name, model in models.items()}


def _repeats(seconds: Mapping[str, list[float]], at_least: float) -> dict[str, int]:
    # A timing shorter than what interrupts a machine would measure the machine.
    often = {name: at_least / max(min(found), at_least / _CALLS_AT_MOST) for name, found in seconds.items()}
    return {name: max(1, math.ceil(count)) for name, count in often.items()}


def _checked(seconds: dict[str, list[float]]) -> dict[str, list[float]]:
    for name, found in seconds.items():
        if min(found) <= 0:
            raise TrainError(f"{name!r} took no time at all by this clock; raise at_least, or give larger inputs")
    return seconds


def _spread(seconds: list[float]) -> float:
    low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / statistics.median(seconds)


def _rows(seconds: Mapping[str, list[float]]) -> tuple[Timing, ...]:
    """Medians, spreads and ratios; the interval is a bootstrap over rounds, which leaves each round together."""
    table = np.array(list(seconds.values()))
    drawn = np.random.default_rng(0).integers(table.shape[1], size=(_RESAMPLES, table.shape[1]))
    medians = np.median(table[:, drawn], axis=2)
    low, high = np.quantile(medians / medians[0], [0.025, 0.975], axis=1)
    first = statistics.median(next(iter(seconds.values())))
    rows = []
    for i, (name, found) in enumerate(seconds.items()):
        median = statistics.median(found)
        ends = float(low[i]), float(high[i])
        rows.append(Timing(name, tuple(found), median, _spread(found), median / first, *ends))
    return tuple(rows)


def _unrest(rows: Sequence[Timing]) -> float:
    return max(row.spread for row in rows)


def latency(
    models: Mapping[str, Callable[..., object]],
    inputs: Any,
    *,
    threads: int | None = None,
    rounds: int = 30,
    warmup: int = 5,
    at_least: float = 0.005,
    spread: float = 0.1,
    attempts: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Timings:
    """Measure how long models take for the same inputs.

    The models run in turns, so that whatever slows the machine slows all of them, after rounds that warm caches and
    allocators up. Ratios are those of medians; their intervals come from drawing rounds anew (bootstrap, 95 %). Where
    the quartiles of a model lie further apart than ``spread`` of its median, everything is measured again; the calmest
    attempt is reported, by its spread and never by its ratio. Modules run in `eval` mode, without gradients.

    Args:
        models: what is called, by name; the first is what the others are compared with. On the device of the inputs.
        inputs: one tensor, a tuple of arguments or a dictionary of keywords.
        threads: of torch on the CPU; as many as it has now, if not given.
        rounds: how often each is timed.
        warmup: rounds before that, not timed.
        at_least: seconds that one timing takes; fast models are called several times for it.
        spread: the largest spread that is taken.
        attempts: how often it is measured at most.
        clock: gives seconds.

    Returns:
        The timings.

    Raises:
        TrainError: no models, threads or attempts.

    >>> layer = nn.Linear(256, 256)
    >>> found = latency({"once": layer, "twice": lambda x: layer(layer(x))}, torch.ones(64, 256), rounds=5, threads=1)
    >>> found["once"].ratio, found["twice"].ratio > 1
    (1.0, True)
    """
    threads = torch.get_num_threads() if threads is None else threads
    check_rounds(rounds, warmup)
    if not models or threads < 1 or attempts < 1:
        raise TrainError(
            f"latency wants one model, thread and attempt or more, not {len(models)}, {threads} and {attempts}"
        )
    calls = _calls(models, inputs)
    tried: list[tuple[Timing, ...]] = []
    with _quiet(list(models.values()), threads):
        trial = time_in_turns(calls, rounds=2, warmup=warmup, clock=clock)
        repeats = _repeats(trial, at_least)
        while len(tried) < attempts and not (tried and _unrest(tried[-1]) <= spread):
            seconds = time_in_turns(calls, rounds=rounds, warmup=0, repeats=repeats, clock=clock)
            tried.append(_rows(_checked(seconds)))
    rows = min(tried, key=_unrest)
    return Timings(rows, threads, len(tried), _unrest(rows) <= spread)
