"""Work spread over processes, threads or machines, as joblib is told."""

from __future__ import annotations

import importlib
import multiprocessing
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from .errors import CausalityError

T = TypeVar("T")

# Told how many of how many calls are done.
Progress = Callable[[int, int], None]


def spread(
    function: Callable[..., T],
    tasks: Sequence[tuple[Any, ...]],
    n_jobs: int | None,
    progress: Progress | None = None,
    *,
    partial: bool = False,
) -> list[T]:
    """``function(*task)`` of every task, in order.

    Args:
        function: what to call; it must not depend on the order of calls.
        tasks: arguments of each call.
        n_jobs: workers; ``None`` leaves it to `joblib.parallel_config`, which also chooses the backend.
        progress: called with the calls done and their number, as results come in.
        partial: after Ctrl-C, or a ``KeyboardInterrupt`` from ``progress``, hand back the results of the first calls.

    Raises:
        KeyboardInterrupt: after Ctrl-C, if ``partial`` is not asked or no call is done.
    """
    found: list[T] = []
    results = _results(function, tasks, n_jobs, progress is not None or partial)
    try:
        for result in results:
            found.append(result)
            if progress is not None:
                progress(len(found), len(tasks))
    except KeyboardInterrupt:
        if not partial or not found:
            raise
    finally:
        if isinstance(results, Generator):
            with warnings.catch_warnings():  # what still runs is cut off, as was asked
                warnings.filterwarnings("ignore", "(?s).*tasks (which were still being|have been success)", UserWarning)
                results.close()
    return found


def _results(
    function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], n_jobs: int | None, one_by_one: bool
) -> Iterable[T]:
    """The results, as they come where the backend can hand them over so.

    Raises:
        CausalityError: if several workers are asked and joblib is not installed.
    """
    try:
        joblib = importlib.import_module("joblib")
    except ImportError as error:
        if n_jobs not in (None, 1):
            raise CausalityError(
                f"n_jobs={n_jobs} needs joblib, which is not installed: pip install 'niwaki[statistics]', or n_jobs=1"
            ) from error
        return (function(*task) for task in tasks)
    calls = [joblib.delayed(_called)(function, *task) for task in tasks]
    if one_by_one:
        try:
            workers = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
        except ValueError:  # this backend only hands over everything at the end
            workers = joblib.Parallel(n_jobs=n_jobs)
    else:
        workers = joblib.Parallel(n_jobs=n_jobs)
    found: Iterable[T] = workers(calls)
    return found


def _called(function: Callable[..., T], *task: Any) -> T:
    # In a process that joblib started here, Ctrl-C ends the process and no more: Python would print where it was, and
    # that would stand between the results. The one that started it has been told as well, and knows what to do.
    here = multiprocessing.current_process().name
    if here.startswith("LokyProcess") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return function(*task)
