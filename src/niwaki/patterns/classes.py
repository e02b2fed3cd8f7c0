"""Labels with two values and strata with names, from columns as they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .encode import Bools, Column, cut, understood
from .errors import PatternError

# What stands for class 1, if the labels say it in one of these ways.
_YES = ("1", "true", "yes", "y", "case", "positive", "pos", "t")
_MANY = 100


@dataclass(frozen=True, eq=False)
class Labels:
    """Class 1 or not, ``[n]``, and what the two classes are called: ``names[1]`` is class 1."""

    values: Bools
    names: tuple[str, str]


@dataclass(frozen=True, eq=False)
class Strata:
    """The stratum of every sample, ``[n]`` from 0, and the names of the strata."""

    values: NDArray[np.int64]
    names: tuple[str, ...]


def binary_labels(
    values: Sequence[object] | NDArray[Any], *, positive: str | None = None, name: str = "label"
) -> Labels:
    """Labels with exactly two values.

    Class 1 is ``positive``; if that is not given, the value that says so (1, true, yes, case ...), else the one that
    comes last in order. The tests are two-sided: the choice turns odds ratios around, and changes no p-value.

    Args:
        values: one per sample.
        positive: the value of class 1; then all other values are class 0.
        name: what the labels are called in messages.

    Returns:
        The labels.

    Raises:
        PatternError: a label is missing, there is one value only, or there are more than two and none is chosen.

    >>> binary_labels(["no", "yes", "no"]).values.tolist()
    [False, True, False]
    """
    column = _complete(values, name)
    words = _words(column)
    known = sorted(set(words.tolist()), key=lambda word: _order(column, word))
    if positive is not None:
        if positive not in known:
            raise PatternError(f"{name} is never {positive!r}; its values are {_some(known)}")
        others = [word for word in known if word != positive]
        rest = others[0] if len(others) == 1 else f"not {positive}"
    elif len(known) == 2:
        positive = next((word for word in known if word.lower() in _YES), known[1])
        rest = next(word for word in known if word != positive)
    elif len(known) > 2:
        raise PatternError(
            f"{name} has {len(known)} values, {_some(known)}; the test compares two classes: say which value is "
            "class 1 (positive=, --positive), and the others become class 0"
        )
    chosen = words == positive
    if chosen.all() or not chosen.any():
        raise PatternError(f"{name} is {known[0]!r} for every sample; a test needs samples of two classes")
    return Labels(chosen, (rest, str(positive)))


def _some(known: Sequence[str], most: int = 8) -> str:
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(repr(word) for word in known[:most]) + more


def _complete(values: Sequence[object] | NDArray[Any], name: str) -> Column:
    column = understood(values)
    if not column.present.all():
        blank = ~column.present
        raise PatternError(
            f"{name} is missing for {int(blank.sum())} of {len(blank)} samples, the first in row "
            f"{int(np.argmax(blank)) + 1}; fill it in, or leave those samples out"
        )
    if not len(column.present):
        raise PatternError(f"{name} is empty; nothing can be tested without samples")
    return column


def _words(column: Column) -> NDArray[np.str_]:
    if column.kind == "category":
        return column.values
    if column.kind == "flag":
        return np.where(column.values.astype(np.bool_), "1", "0")
    return np.array([f"{value:.10g}" for value in column.values])


def _order(column: Column, word: str) -> tuple[float, str]:
    return (0.0, word) if column.kind == "category" else (float(word), word)


def strata_of(
    columns: Mapping[str, Sequence[object] | NDArray[Any]], *, bins_of: Mapping[str, int] | None = None
) -> Strata:
    """Strata from one covariate or from the combinations of several.

    Args:
        columns: the covariates by name, all of one length, at least one.
        bins_of: a covariate of numbers named here is cut at its quantiles into so many parts.

    Returns:
        The strata that occur, in the order of their values.

    Raises:
        PatternError: a value is missing, or a covariate has as many values as a name of the samples would.

    >>> strata_of({"sex": ["m", "f", "m"], "old": [0, 0, 1]}).names
    ('f, old=0', 'm, old=0', 'm, old=1')
    """
    codes, names = np.zeros(1, dtype=np.int64), [""]
    for name, values in columns.items():
        column = _complete(values, f"the covariate {name!r}")
        here, words = _levels(name, column, (bins_of or {}).get(name))
        if len(words) > max(2, len(here) // 2) or (_is_measured(column) and len(words) > _MANY):
            raise PatternError(
                f"the covariate {name!r} has {len(words)} values for {len(here)} samples, and strata of one sample can "
                f"show nothing; put values together, or cut numbers into bins (--bin {name}=5)"
            )
        codes = codes * len(words) + here
        names = [f"{first}, {word}".removeprefix(", ") for first in names for word in words]
    found, codes = np.unique(codes, return_inverse=True)
    return Strata(codes.reshape(-1).astype(np.int64), tuple(names[at] for at in found))


def _is_measured(column: Column) -> bool:
    return column.kind == "number" and bool((column.values != np.floor(column.values)).any())


def _levels(name: str, column: Column, bins: int | None) -> tuple[NDArray[np.int64], list[str]]:
    if column.kind == "number" and bins is not None and len(np.unique(column.values)) > bins:
        parts = cut(name, column.values, column.present, bins)
        return np.argmax(np.stack([holds for _, holds in parts]), axis=0), [word for word, _ in parts]
    words = _words(column)
    known = sorted(set(words.tolist()), key=lambda word: _order(column, word))
    place = {word: at for at, word in enumerate(known)}
    codes = np.array([place[word] for word in words.tolist()], dtype=np.int64)
    return codes, known if column.kind == "category" else [f"{name}={word}" for word in known]
