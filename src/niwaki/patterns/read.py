"""Files into columns: comma-separated text, Parquet, and the transactions of the reference program."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .encode import Items
from .errors import PatternError

Columns = dict[str, list[Any]]
_DELIMITERS = ",;\t|"
_PARQUET = {".parquet", ".pq"}


def read_table(path: Path | str, *, names: Sequence[str] | None = None, header: bool = True) -> Columns:
    """Read a table by columns: Parquet by its ending, anything else as separated text, gzipped or not.

    Commas, semicolons, tabs and bars are recognised. Cells are words without the spaces around them; what they mean is
    decided later, by `niwaki.patterns.encode.understood`.

    Args:
        path: the file.
        names: of the columns, for a text file whose first line is data already.
        header: whether the first line of a text file names the columns; without it and without ``names`` the columns
            are called 1, 2, 3 and so on.

    Returns:
        The columns in their order.
    """
    path = Path(path)
    if path.suffix.lower() in _PARQUET:
        return _parquet(path)
    rows = _rows(path)
    return _columns(path, rows, list(names) if names else None, header=header and not names)


def _parquet(path: Path) -> Columns:
    if not path.is_file():
        raise PatternError(_absent(path))
    for package, reader in (("pyarrow.parquet", "read_table"), ("polars", "read_parquet"), ("pandas", "read_parquet")):
        try:
            module = import_module(package)
        except ImportError:
            continue
        try:
            return columns_of(getattr(module, reader)(path))
        except Exception as error:  # each package has errors of its own
            raise PatternError(f"{path} is not a Parquet file that {package} can read: {error}") from error
    raise PatternError(f"{path}: Parquet files need pyarrow, polars or pandas: pip install pyarrow; or give a CSV file")


def columns_of(frame: Any) -> Columns:
    """The columns of a pandas or polars data frame or an Arrow table.

    Args:
        frame: the data frame.

    Returns:
        Its columns by name.
    """
    names = list(getattr(frame, "column_names", None) or frame.columns)
    return {str(name): _values(frame[name]) for name in names}


def _values(series: Any) -> list[Any]:
    for way in ("to_pylist", "to_list", "tolist"):
        if hasattr(series, way):
            return list(getattr(series, way)())
    return list(series)


def _absent(path: Path) -> str:
    return f"there is no file {path}; check the path"


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        # By its first bytes, for files are renamed.
        return (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise PatternError(_absent(path)) from error
    except UnicodeDecodeError as error:
        raise PatternError(f"{path} is not UTF-8 text (byte {error.start}); save it as a UTF-8 CSV file") from error
    except (OSError, EOFError) as error:
        raise PatternError(f"cannot read {path}: {error}") from error


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    # Line number and cells of every line that is not blank.
    text = _text(path)
    first = next((line for line in text.splitlines() if line.strip()), None)
    if first is None:
        raise PatternError(f"{path} is empty; give a table with a line of names and a line per sample")
    counts = {mark: first.count(mark) for mark in _DELIMITERS}
    delimiter = max(_DELIMITERS, key=lambda mark: counts[mark])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise PatternError(f"{path} line {reader.line_num}: {error}; put the quotes of that line right") from error


def _columns(path: Path, rows: list[tuple[int, list[str]]], names: list[str] | None, *, header: bool) -> Columns:
    if header:
        names = [name.strip() or f"column {at}" for at, name in enumerate(rows[0][1], 1)]
        rows = rows[1:]
    elif names is None:
        names = [str(at + 1) for at in range(len(rows[0][1]))]
    twice = [name for at, name in enumerate(names) if name in names[:at]]
    if twice:
        raise PatternError(f"{path} names two columns {twice[0]!r}; rename one of them")
    if not rows:
        raise PatternError(f"{path} has a line of names and no samples below it")
    for line, row in rows:
        if len(row) != len(names):
            raise PatternError(
                f"{path} line {line} has {len(row)} cells where {len(names)} columns are named; put that line right"
            )
    return dict(zip(names, map(list, zip(*(_stripped(row) for _, row in rows), strict=True)), strict=True))


def _stripped(row: Iterable[str]) -> list[str]:
    return [cell.strip() for cell in row]


def read_transactions(path: Path | str) -> Items:
    """Read the reference's transactions: a line per sample with the whole numbers of the items it has.

    Args:
        path: the file, gzipped or not. An empty line is a sample without items.

    Returns:
        The items, named by their numbers, in the order of the numbers.

    Raises:
        PatternError: the file cannot be read, or holds something else.
    """
    path = Path(path)
    lines = _text(path).splitlines()
    samples = [[_number(path, at, word) for word in line.split()] for at, line in enumerate(lines, 1)]
    known = sorted({item for sample in samples for item in sample})
    if not known:
        raise PatternError(f"{path} holds no items; a line per sample lists the whole numbers of its items")
    place = {item: at for at, item in enumerate(known)}
    values = np.zeros((len(samples), len(known)), dtype=np.bool_)
    for row, sample in enumerate(samples):
        values[row, [place[item] for item in sample]] = True
    names = tuple(map(str, known))
    return Items(values, names, names)


def _number(path: Path, line: int, word: str) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise PatternError(
            f"{path} line {line} holds {word[:40]!r}; a file of transactions holds whole numbers with spaces between "
            "them. If this is a table, name label and covariate by their columns"
        ) from error


def read_codes(path: Path | str, count: int) -> list[str]:
    """Read the reference's labels or covariates: one per sample.

    Args:
        path: the file.
        count: how many samples there are.

    Returns:
        The words of the file.

    Raises:
        PatternError: the file cannot be read, or has another number of lines.
    """
    path = Path(path)
    words = _text(path).split()
    if len(words) != count:
        raise PatternError(f"{path} has {len(words)} values for {count} samples; give one per line of the transactions")
    return words
