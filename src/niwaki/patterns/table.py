"""A small table of columns, so that results need no data frame library."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .errors import PatternError


@dataclass(frozen=True, eq=False)
class Table:
    """Named columns of one length.

    >>> table = Table({"pattern": (("a", "b"), ("c",)), "p": (0.001, 0.02)})
    >>> len(table), table["p"], table.rows()[1]
    (2, (0.001, 0.02), {'pattern': ('c',), 'p': 0.02})
    """

    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self.columns:
            raise KeyError(f"the table has no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per row."""
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*self.columns.values(), strict=True)]

    def plain_rows(self) -> list[dict[str, Any]]:
        """One dictionary per row, with what JSON knows alone: numbers that are not finite are ``None``."""
        return Table({name: _plain_column(values) for name, values in self.columns.items()}).rows()

    def to_pandas(self) -> Any:
        """A pandas data frame.

        Raises:
            PatternError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise PatternError("a data frame needs pandas: pip install pandas; rows() does without") from error
        return pandas.DataFrame({name: list(values) for name, values in self.columns.items()})

    def to_csv(self) -> str:
        """The table as comma-separated text; items of a pattern stand with " & " between them."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_cell(value) for value in row] for row in zip(*self.columns.values(), strict=True))
        return out.getvalue()

    def __repr__(self) -> str:
        lines = [f"{len(self)} rows of {', '.join(self.columns)}"]
        lines += ["  ".join(str(_cell(value)) for value in row.values()) for row in self.rows()[:10]]
        return "\n".join([*lines, *(["..."] if len(self) > 10 else [])])


def _plain_column(values: Sequence[Any]) -> Sequence[Any]:
    if all(type(value) is float for value in values):
        return [value if isfinite(value) else None for value in values]
    return [plain(value) for value in values]


def _cell(value: object) -> object:
    if isinstance(value, (tuple, list)):
        return " & ".join(map(str, value))
    return repr(value) if isinstance(value, float) else value


def plain(value: object) -> Any:
    """Values as JSON has them: NumPy's become Python's, numbers that are not finite become ``None``.

    >>> plain({"p": np.float64(0.5), "odds": float("inf"), "x": np.array([1, 2])})
    {'p': 0.5, 'odds': None, 'x': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Put a file in its place in one step: afterwards it holds the text, or what it held before.

    Args:
        path: the file; its folder is made if it does not exist.
        text: all of its contents.

    Raises:
        PatternError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise PatternError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another place"
        ) from error


def as_json(value: Mapping[str, Any]) -> str:
    """JSON text of plain data, a line for each name."""
    lines = [f"{json.dumps(name)}: {json.dumps(inner, ensure_ascii=False)}" for name, inner in value.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
