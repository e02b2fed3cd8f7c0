"""Checks of arguments before anything runs: each message names the argument, what it was, and what it may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, get_args

from .errors import TrainError


def check_counts(**counts: tuple[object, int]) -> None:
    """Check whole numbers.

    Args:
        counts: by the name of the argument, what it was and the least that it may be.

    Raises:
        TrainError: one is no whole number, or less.

    >>> check_counts(steps=(100, 1), seed=(0, 0))
    """
    for name, (value, least) in counts.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
            raise TrainError(f"{name}={value!r} will not do; give a whole number of at least {least}")


def check_shares(**shares: object) -> None:
    """Check shares of a whole: a `TrainError` if one is no number from 0 to 1.

    Args:
        shares: by the name of the argument.

    >>> check_shares(alpha=0.3, end=1)
    """
    _check_numbers(shares, lambda value: 0 <= value <= 1, "a share from 0 to 1")


def check_positive(**numbers: object) -> None:
    """Check factors and rates: a `TrainError` if one is no finite number above 0.

    Args:
        numbers: by the name of the argument.

    >>> check_positive(decay=2.5)
    """
    _check_numbers(numbers, lambda value: 0 < value < math.inf, "a number above 0")


def check_not_negative(**numbers: object) -> None:
    """Check rates of which 0 means none: a `TrainError` if one is no finite number, or below 0.

    Args:
        numbers: by the name of the argument.

    >>> check_not_negative(decay=0)
    """
    _check_numbers(numbers, lambda value: 0 <= value < math.inf, "a number of at least 0")


def check_choice(literal: Any, **given: object) -> None:
    """Check names.

    Args:
        literal: the ``Literal`` type that lists them.
        given: by the name of the argument.

    Raises:
        TrainError: one is not in the list.
    """
    for name, value in given.items():
        if value not in get_args(literal):
            raise TrainError(f"{name}={value!r} is unknown; choose from {', '.join(map(repr, get_args(literal)))}")


def check_schedule(**schedules: object) -> None:
    """Check functions of the step.

    Args:
        schedules: by the name of the argument; ``None`` stands for the usual one.

    Raises:
        TrainError: one cannot be called.
    """
    for name, value in schedules.items():
        if value is not None and not callable(value):
            raise TrainError(
                f"{name}={value!r} will not do; give a function of the step, such as niwaki.constant({value!r})"
            )


def _check_numbers(numbers: Mapping[str, object], fits: Callable[[float], bool], wanted: str) -> None:
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not fits(float(value)):
            raise TrainError(f"{name}={value!r} will not do; give {wanted}")
