"""Two durations compared in one run, so that whatever slows the machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from ..core.errors import TrainError
from .memory import kept_memory


@dataclass(frozen=True)
class Ratio:
    """Two medians, and their ratio.

    Args:
        median_a: seconds.
        median_b: seconds.
        ratio: ``median_a / median_b``.
        spread: the distance between the quartiles of the ratios of single rounds.
    """

    median_a: float
    median_b: float
    ratio: float
    spread: float


def _wait_for_cuda() -> None:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def _waiting() -> Callable[[], object]:
    """What waits for the accelerator, if there is one. CUDA that nobody has used yet is left asleep."""
    kind = torch.accelerator.current_accelerator(check_available=True)
    if kind is None:
        return lambda: None
    return _wait_for_cuda if kind.type == "cuda" else torch.accelerator.synchronize


def _spent(call: Callable[[], object], count: int, clock: Callable[[], float]) -> float:
    wait = _waiting()  # looked up outside of what is timed
    wait()
    start = clock()
    for _ in range(count):
        call()
    wait()
    return (clock() - start) / count


@contextmanager
def pinned(count: int | None) -> Generator[None, None, None]:
    """Use so many CPU threads inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_rounds(rounds: int, warmup: int) -> None:
    """Check how often something is to be timed.

    Args:
        rounds: timed rounds.
        warmup: rounds before them.

    Raises:
        TrainError: fewer than two rounds, or a negative warmup.
    """
    if rounds < 2 or warmup < 0:
        raise TrainError(f"timing needs two rounds or more and no negative warmup, not {rounds} and {warmup}")


def time_in_turns(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    warmup: int,
    repeats: Mapping[str, int] | None = None,
    before: Mapping[str, Callable[[], object]] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time functions in turns.

    Every round calls all of them, and every round another one goes first, so that none profits from its place. Work on
    an accelerator is waited for. Memory that they free stays with the process meanwhile (`kept_memory`).

    Args:
        calls: the functions by name.
        rounds: how often each is timed.
        warmup: rounds before that, not timed.
        repeats: how many calls make one timing; one where nothing is said.
        before: what is called before a timing and not timed, such as bringing inputs into the cache.
        clock: gives seconds.

    Returns:
        Seconds of one call, round by round, by name.
    """
    check_rounds(rounds, warmup)
    names, often, ready = list(calls), repeats or {}, before or {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with kept_memory():
        for i in range(warmup + rounds):
            first = i % len(names)
            for name in names[first:] + names[:first]:
                if name in ready:
                    ready[name]()
                spent = _spent(calls[name], often.get(name, 1), clock)
                if i >= warmup:
                    seconds[name].append(spent)
    return seconds


def compare_times(
    a: Callable[[], object],
    b: Callable[[], object],
    *,
    rounds: int = 20,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Ratio:
    """Time two functions in turns.

    Every round calls both, and every other round the second goes first, so that neither profits from its place. Work on
    an accelerator is waited for.

    Args:
        a: the function of interest.
        b: what it is compared with.
        rounds: how often each is timed.
        warmup: rounds before that, not timed.
        clock: gives seconds.

    Returns:
        The medians and their ratio.

    Raises:
        TrainError: a clock too coarse to see the second function.
    """
    seconds = time_in_turns({"a": a, "b": b}, rounds=rounds, warmup=warmup, clock=clock)
    if min(seconds["b"]) <= 0:
        raise TrainError("timing: the second function took no time at all by this clock; let it do more work per call")
    median_a, median_b = statistics.median(seconds["a"]), statistics.median(seconds["b"])
    ratios = [x / y for x, y in zip(seconds["a"], seconds["b"], strict=True)]
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median_a, median_b, median_a / median_b, high - low)
