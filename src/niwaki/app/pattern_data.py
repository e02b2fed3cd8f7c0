"""Features, labels and covariate from files, for the command ``patterns``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..patterns import PatternError
from ..patterns.read import read_codes, read_table, read_transactions

_YES = {"1", "true", "yes"}


@dataclass(frozen=True, eq=False)
class PatternData:
    """What is searched: features and labels as they stand in the files, covariates by name.

    ``label`` and ``covariate`` are what they are called.
    """

    features: Any
    labels: Sequence[object]
    groups: Mapping[str, Sequence[object]] | None
    label: str
    covariate: str

    def positive(self, value: str) -> str:
        """Class 1 in words."""
        return self.label if value.lower() in _YES else f"{self.label} {value}"


def read_data(
    path: Path,
    label: str,
    covariates: Sequence[str],
    *,
    drop: Sequence[str] = (),
    only: Sequence[str] = (),
    names: Sequence[str] | None = None,
    header: bool = True,
) -> PatternData:
    """Read a table with a label column, or transactions with a file of labels.

    Args:
        path: the table; or transactions, where ``label`` is a file.
        label: the column of the label; or the file.
        covariates: columns, or files, of the covariate.
        drop: columns to leave out.
        only: the columns to make items of, if not all.
        names: of the columns, where the file has none.
        header: whether the first line of a table names the columns.

    Returns:
        What is searched.

    Raises:
        PatternError: a column is not there, or a table is read as transactions.
    """
    if Path(label).is_file():
        if drop or only or names or not header:
            raise PatternError("transactions have no columns: leave out --drop, --only, --names and --no-header")
        items = read_transactions(path)
        count = len(items.values)
        groups = {Path(name).name.split(".")[0]: read_codes(name, count) for name in covariates}
        return PatternData(items, read_codes(label, count), groups or None, "class", ", ".join(groups))
    columns = read_table(path, names=names, header=header)
    for name in [label, *covariates, *drop, *only]:
        if name not in columns:
            raise PatternError(
                f"{path} has no column {name!r}; it has {_listed(columns)}. Where the first line is data already, "
                "give --no-header or --names"
            )
    if label in covariates:
        raise PatternError(f"{label!r} is both label and covariate; within its strata it cannot vary")
    taken = only or [name for name in columns if name not in drop]
    features = {name: columns[name] for name in taken if name != label and name not in covariates}
    if not features:
        raise PatternError("no column is left to make items of; drop fewer, or name others with --only")
    chosen = {name: columns[name] for name in covariates}
    return PatternData(features, columns[label], chosen or None, label, ", ".join(covariates))


def _listed(names: Mapping[str, Any], most: int = 20) -> str:
    words = list(names)
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def bins_from(words: Sequence[str]) -> tuple[int, dict[str, int]]:
    """How columns of numbers are cut: ``4`` for all of them, ``age=5`` for one.

    Args:
        words: as given.

    Returns:
        The number for all, and those by column.

    Raises:
        PatternError: a word is neither.

    >>> bins_from(["3", "age=5"])
    (3, {'age': 5})
    """
    usual, chosen = 4, {}
    for word in words:
        name, mark, number = word.rpartition("=")
        if not number.isdigit() or (mark and not name):
            raise PatternError(f"--bin {word!r} needs a number of bins, as in --bin 4 or --bin age=5")
        if mark:
            chosen[name] = int(number)
        else:
            usual = int(number)
    return usual, chosen
