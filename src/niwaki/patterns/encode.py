"""Tables into boolean items: a category gives an item per value, a number an item per bin, a flag is one itself.

No label is looked at, so that the choice of bins cannot bend a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import PatternError

Bools = NDArray[np.bool_]
Missing = Literal["off", "item", "error"]
Kind = Literal["flag", "number", "category"]

# What files write for a value they do not have; an empty cell is one, too.
BLANKS = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "null", "<NA>"})
_WORDS = {"true": True, "false": False}
_MOST_VALUES = 100


@dataclass(frozen=True, eq=False)
class Items:
    """Boolean items ``values`` ``[n, p]`` with their names and the column each was made from.

    ``left_out`` says what is no item and why, ``notes`` what was decided on the way.
    """

    values: Bools
    names: tuple[str, ...]
    columns: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Column:
    """A column as it is understood: flags, numbers or words, and where there is a value at all."""

    kind: Kind
    values: NDArray[Any]
    present: Bools


def items_of(
    columns: Mapping[str, Sequence[object] | NDArray[Any]],
    *,
    bins: int = 4,
    bins_of: Mapping[str, int] | None = None,
    missing: Missing = "off",
) -> Items:
    """Make items of the columns of a table.

    A column of true and false (or 0 and 1) is an item as it is. A column of words gives an item for each of its values,
    ``colour=red``. A column of numbers is cut at its quantiles, ``28<age<=37``; with no more values than bins, every
    value is an item. Items that all samples have, or none, are left out with the reason.

    Args:
        columns: values by name, all of one length.
        bins: how many parts a column of numbers is cut into.
        bins_of: other numbers of bins, by column.
        missing: a sample without a value has no item of that column (``"off"``), an item of its own (``"item"``), or
            is an error (``"error"``).

    Returns:
        The items, in the order of the columns.

    Raises:
        PatternError: there are no samples or no columns, the lengths differ, two items would have one name, a column
            looks like an identifier, or a value is missing and must not be.

    >>> items = items_of({"colour": ["red", "blue", "red"], "age": [20, 30, 40], "sold": [1, 0, 1]}, bins=2)
    >>> items.names
    ('colour=blue', 'colour=red', 'age<=30', 'age>30', 'sold')
    """
    count = _checked(columns, bins, bins_of or {})
    made: dict[str, tuple[str, Bools]] = {}
    left_out: dict[str, str] = {}
    notes = []
    for name, values in columns.items():
        column = understood(values)
        parts = _parts(name, column, (bins_of or {}).get(name, bins))
        blank = count - int(column.present.sum())
        if blank:
            notes.append(_missing(name, column, missing, parts))
        if not column.present.any():
            left_out[name] = "has no value at all"
            continue
        for item, holds in parts:
            if item in made:
                raise PatternError(
                    f"the columns {made[item][0]!r} and {name!r} both give an item {item!r}; rename one of them"
                )
            if holds.all() or not holds.any():
                left_out[item] = "holds for every sample" if holds.all() else "holds for no sample"
            else:
                made[item] = name, holds
    matrix = np.column_stack([holds for _, holds in made.values()]) if made else np.zeros((count, 0), dtype=np.bool_)
    return Items(matrix, tuple(made), tuple(name for name, _ in made.values()), left_out, tuple(notes))


def _checked(columns: Mapping[str, Sequence[object] | NDArray[Any]], bins: int, bins_of: Mapping[str, int]) -> int:
    # How many samples there are.
    if not columns:
        raise PatternError("the table has no columns to make items of; give at least one beside label and covariate")
    lengths = {name: len(values) for name, values in columns.items()}
    count = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != count:
            raise PatternError(f"the column {name!r} has {length} values, others {count}; every sample needs one")
    if not count:
        raise PatternError("the table has no rows; nothing can be tested without samples")
    for name, number in {"": bins, **bins_of}.items():
        if number < 2:
            where = f" for the column {name!r}" if name else ""
            raise PatternError(f"{number} bins{where} cannot tell samples apart; give 2 or more")
    unknown = [name for name in bins_of if name not in columns]
    if unknown:
        raise PatternError(f"bins are given for {unknown[0]!r}, which is no column here; there are {_listed(columns)}")
    return count


def _listed(names: Iterable[str], most: int = 12) -> str:
    words = list(names)
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _missing(name: str, column: Column, missing: Missing, parts: list[tuple[str, Bools]]) -> str:
    blank = ~column.present
    count, total = int(blank.sum()), len(blank)
    if missing == "error":
        raise PatternError(
            f"{count} of {total} values of the column {name!r} are missing, the first in row "
            f"{int(np.argmax(blank)) + 1}; fill them in, or treat them with missing = 'off' or 'item'"
        )
    if missing == "item":
        parts.append((f"{name} is missing", blank))
        return f"{name}: {count} of {total} values are missing, an item of their own"
    return f"{name}: {count} of {total} values are missing; those samples have no item of this column"


def _parts(name: str, column: Column, bins: int) -> list[tuple[str, Bools]]:
    # Names and flags of the items of one column.
    if column.kind == "flag":
        return [(name, column.present & column.values.astype(np.bool_))]
    known = np.unique(column.values[column.present])
    if column.kind == "number" and len(known) > bins:
        return _binned(name, column, bins)
    if column.kind == "category" and len(known) > _MOST_VALUES:
        raise PatternError(
            f"the column {name!r} has {len(known)} different values, such as {str(known[0])!r}, more than "
            f"{_MOST_VALUES}; if it names the samples leave it out, else put rare values together"
        )
    return [
        (f"{name}={word}", column.present & (column.values == value))
        for value, word in zip(known.tolist(), _written(known.tolist()), strict=True)
    ]


def _binned(name: str, column: Column, bins: int) -> list[tuple[str, Bools]]:
    return [(item, column.present & holds) for item, holds in cut(name, column.values, column.present, bins)]


def cut(name: str, values: NDArray[Any], present: Bools, bins: int) -> list[tuple[str, Bools]]:
    """Cut numbers at their quantiles, which are values of the column themselves.

    Args:
        name: of the column.
        values: numbers ``[n]``, of which two differ.
        present: which of them count.
        bins: how many parts; fewer come out where values repeat.

    Returns:
        Name and flags of each part, from the lowest.
    """
    shares = np.arange(1, bins) / bins
    known = np.unique(values[present])
    # A value so frequent that a quantile falls on it, and nothing lies above it, is a bin of its own.
    edges = np.unique(np.minimum(np.quantile(values[present], shares, method="inverted_cdf"), known[-2]))
    words = _written(edges.tolist())
    place = np.searchsorted(edges, values, side="left")
    named = [f"{name}<={words[0]}"]
    named += [f"{low}<{name}<={high}" for low, high in zip(words, words[1:], strict=False)]
    return [(item, place == at) for at, item in enumerate([*named, f"{name}>{words[-1]}"])]


def _written(values: list[Any]) -> list[str]:
    # Whole numbers as they are, others with the fewest digits that still tell them apart.
    words: list[str] = []
    for digits in range(4, 18):
        words = [_number(value, digits) if isinstance(value, float) else str(value) for value in values]
        if len(set(words)) == len(words):
            break
    return words


def _number(value: float, digits: int) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"


def understood(values: Sequence[object] | NDArray[Any]) -> Column:
    """What a column holds: flags, numbers or words.

    Args:
        values: cells; ``None``, NaN and what files write for them are missing.

    Returns:
        The column.

    >>> understood(["1", "2.5", ""]).kind, understood(["yes", "no"]).kind, understood([0, 1, 1]).kind
    ('number', 'category', 'flag')
    """
    array = values if isinstance(values, np.ndarray) else None
    if array is not None and array.dtype.kind == "b":
        return Column("flag", array, np.ones(len(array), dtype=np.bool_))
    if array is not None and array.dtype.kind in "iuf":
        return _numbers(array.astype(np.float64), ~np.isnan(array))
    cells = [_cell(value) for value in values]
    present = np.array([cell is not None for cell in cells], dtype=np.bool_)
    known = [cell for cell in cells if cell is not None]
    if known and all(isinstance(cell, str) for cell in known):
        known = _parsed([str(cell) for cell in known])
    full = np.full(len(cells), 0, dtype=object)
    full[present] = known
    if all(isinstance(cell, bool) for cell in known):
        return Column("flag", full.astype(np.bool_), present)
    if all(isinstance(cell, (bool, int, float)) for cell in known):
        return _numbers(full.astype(np.float64), present)
    return Column("category", np.array(["" if cell is None else str(cell) for cell in cells]), present)


def _cell(value: object) -> object:
    """A Python value; ``None`` where there is none."""
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if isinstance(value, str):
        word = value.strip()
        return None if word in BLANKS else word
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and value != value else value


def _parsed(words: list[str]) -> list[object]:
    """Words as flags or numbers, if all of them are; else as they are."""
    if all(word.lower() in _WORDS for word in words):
        return [_WORDS[word.lower()] for word in words]
    try:
        return [float(word) for word in words]
    except ValueError:
        return list(words)


def _numbers(values: NDArray[np.float64], present: Bools) -> Column:
    is_flag = present.any() and np.isin(values[present], (0.0, 1.0)).all()
    return Column("flag" if is_flag else "number", values, present)
