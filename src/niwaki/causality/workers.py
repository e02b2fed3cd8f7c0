"""Work spread over processes, threads or machines, as joblib is told."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .errors import CausalityError

T = TypeVar("T")


def spread(function: Callable[..., T], tasks: Sequence[tuple[Any, ...]], n_jobs: int | None) -> list[T]:
    """``function(*task)`` of every task, in order.

    Args:
        function: what to call; it must not depend on the order of calls.
        tasks: arguments of each call.
        n_jobs: workers; ``None`` leaves it to `joblib.parallel_config`, which also chooses the backend.

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
        return [function(*task) for task in tasks]
    found: list[T] = joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(function)(*task) for task in tasks)
    return found
