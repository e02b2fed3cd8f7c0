"""Series and true edges from files, for the command ``causes``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..causality import CausalityError, Table, as_table
from ..patterns.encode import understood
from ..patterns.read import Columns, read_table

_CLOCKS = {"time", "date", "datetime", "timestamp", "year"}


@dataclass(frozen=True, eq=False)
class Series:
    """Series by name, and what was decided about the file."""

    table: Table
    notes: tuple[str, ...]


def read_series(
    path: Path, *, drop: Sequence[str] = (), only: Sequence[str] = (), in_rows: bool = False, header: bool = True
) -> Series:
    """Read a table of series, one column each.

    Columns of words are left out with a note, and so are clocks: a first column that rises at every step, or a column
    that is called time, date or year.

    Args:
        path: the file.
        drop: columns to leave out.
        only: the columns to take, if not all.
        in_rows: a series fills a row, whose first cell is its name.
        header: whether the first line names the columns (or, in rows, the times).

    Returns:
        The series.

    Raises:
        CausalityError: there are fewer than two series, or a name is unknown.
    """
    columns = read_table(path, header=header)
    if in_rows:
        columns = _turned(columns)
    _check_names([*drop, *only], columns)
    notes: list[str] = []
    taken: dict[str, Any] = {}
    for at, (name, values) in enumerate(columns.items()):
        if name in drop or (only and name not in only):
            continue
        numbers = _numbers(name, values, asked=name in only)
        if numbers is None:
            notes.append(f"the column {name!r} holds words and is left out")
        elif not only and not in_rows and _is_clock(name, numbers, is_first=at == 0):
            notes.append(f"the column {name!r} is a clock and is left out; --only takes it")
        else:
            taken[name] = numbers
    if len(taken) < 2:
        why = "".join(f"; {note}" for note in notes)
        raise CausalityError(f"{path} has {len(taken)} columns of numbers to compare; two are needed{why}")
    return Series(as_table(taken), tuple(notes))


def _is_clock(name: str, numbers: Any, *, is_first: bool) -> bool:
    # By its name, or a first column that rises at every step.
    return name.lower() in _CLOCKS or (is_first and len(numbers) > 2 and bool((np.diff(numbers) > 0).all()))


def _turned(columns: Columns) -> Columns:
    # Rows as columns, named by their first cells.
    first, *rest = columns.values()
    names = [str(name) for name in first]
    twice = [name for at, name in enumerate(names) if name in names[:at]]
    if twice:
        raise CausalityError(f"two rows are called {twice[0]!r}; series need different names")
    if not rest:
        raise CausalityError("the rows hold a name and no values; a row is the name of a series and its values")
    return {name: list(values) for name, values in zip(names, zip(*rest, strict=True), strict=True)}


def _check_names(asked: Sequence[str], columns: Columns) -> None:
    unknown = [name for name in asked if name not in columns]
    if unknown:
        raise CausalityError(f"there is no column {unknown[0]!r}; the names are {', '.join(columns)}")


def _numbers(name: str, values: Sequence[object], *, asked: bool) -> Any:
    # The column as numbers, NaN where a cell is empty; ``None`` if it holds words.
    column = understood(values)
    if column.kind == "category":
        if asked:
            raise CausalityError(f"the column {name!r} holds words, not numbers; leave it out of --only")
        return None
    numbers = column.values.astype(np.float64)
    numbers[~column.present] = np.nan
    return numbers


def read_truth(path: Path, names: Sequence[str]) -> Any:
    """Read true edges: two columns, cause and effect, or a matrix of 0 and 1 with a row per cause.

    Args:
        path: the file.
        names: of the variables.

    Returns:
        Pairs of names, or a matrix in the order of the names.

    Raises:
        CausalityError: it is neither.
    """
    table = read_table(path)
    if set(names) <= set(table):
        return _matrix(path, table, names)
    if len(table) < 2:
        raise CausalityError(f"{path} has {len(table)} column; true edges take two, cause and effect")
    first, second = list(table)[:2]
    pairs = list(zip(table[first], table[second], strict=True))
    # A file without a line of names begins with an edge at once.
    pairs = [(first, second), *pairs] if first in names and second in names else pairs
    return [(str(cause), str(effect)) for cause, effect in pairs]


def _matrix(path: Path, table: Columns, names: Sequence[str]) -> Any:
    others = [name for name in table if name not in names]
    rows: Sequence[object] = table[others[0]] if others else list(names)
    order = [str(row) for row in rows]
    if sorted(order) != sorted(names):
        raise CausalityError(
            f"{path} has the rows {', '.join(order[:8])}; a matrix of true edges has a row for each of "
            f"{', '.join(names)}"
        )
    return np.array([[float(table[name][order.index(cause)]) for name in names] for cause in names])
