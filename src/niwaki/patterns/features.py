"""Features of any kind as items: matrices, sparse matrices, data frames, dictionaries of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .encode import Bools, Items, Missing, items_of
from .errors import PatternError
from .layout import Packed, pack_columns
from .read import columns_of


class Features(NamedTuple):
    """Items for a search, how many samples they are of, their names, and what was decided about them."""

    table: Bools | Packed
    samples: int
    names: tuple[str, ...]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


def features_of(
    X: Any,
    *,
    bins: int = 4,
    bins_of: Mapping[str, int] | None = None,
    missing: Missing = "off",
) -> Features:
    """Take features as they come.

    Args:
        X: 0 and 1 or booleans as a matrix ``[samples, items]``, dense or sparse; or a table with column names, whose
            columns become items: see `items_of`.
        bins: for columns of numbers.
        bins_of: other numbers of bins, by column.
        missing: what a missing value of a table means.

    Returns:
        The items.
    """
    if isinstance(X, Items):
        return Features(X.values, len(X.values), X.names, X.left_out, X.notes)
    if isinstance(X, Packed):
        return Features(X, X.samples, _numbered(len(X.bits)), {}, ())
    if hasattr(X, "tocsc"):
        return _sparse(X)
    if isinstance(X, Mapping) or _is_frame(X):
        return _table(X, bins, bins_of, missing)
    matrix = _matrix(np.asarray(X))
    return Features(matrix, len(matrix), _numbered(matrix.shape[1]), {}, ())


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"x{at}" for at in range(count))


def _is_frame(X: Any) -> bool:
    return (hasattr(X, "columns") or hasattr(X, "column_names")) and hasattr(X, "__getitem__")


def _sparse(X: Any) -> Features:
    columns = X.tocsc()
    columns.sum_duplicates()
    strange = columns.data[(columns.data != 0) & (columns.data != 1)]
    if len(strange):
        raise PatternError(f"items must be 0 and 1, but the sparse matrix holds {strange[0]}; binarise it first")
    columns.eliminate_zeros()
    samples, width = columns.shape
    return Features(pack_columns(columns.indptr, columns.indices, samples), samples, _numbered(width), {}, ())


def _table(X: Any, bins: int, bins_of: Mapping[str, int] | None, missing: Missing) -> Features:
    if hasattr(X, "to_numpy") and _is_boolean(X):  # wide tables of booleans need not be taken apart
        values = np.asarray(X.to_numpy()).astype(np.bool_)
        return Features(values, len(values), tuple(map(str, X.columns)), {}, ())
    items = items_of(X if isinstance(X, Mapping) else columns_of(X), bins=bins, bins_of=bins_of, missing=missing)
    return features_of(items)


def _is_boolean(frame: Any) -> bool:
    kinds = frame.dtypes
    kinds = kinds.tolist() if hasattr(kinds, "tolist") else list(kinds)
    return bool(kinds) and all(str(kind) in {"bool", "Boolean"} for kind in kinds) and not _has_nulls(frame)


def _has_nulls(frame: Any) -> bool:
    if hasattr(frame, "null_count"):  # polars
        return any(count > 0 for row in frame.null_count().rows() for count in row)
    return bool(np.asarray(frame.isna()).any())


def _matrix(table: Any) -> Bools:
    if table.ndim != 2:
        raise PatternError(f"X has shape {table.shape}; give a table [samples, items]")
    if table.dtype == np.bool_:
        return np.asarray(table)
    if table.dtype.kind not in "iuf":
        raise PatternError(
            f"X is a matrix of {table.dtype}; give booleans or 0 and 1, or a table with column names (a data frame, a "
            "dictionary of columns), whose words and numbers become items"
        )
    if np.isnan(table).any():
        row, column = np.argwhere(np.isnan(table))[0].tolist()
        raise PatternError(f"X has no value at sample {row}, item {column} (NaN); decide what it means first")
    is_strange = (table != 0) & (table != 1)
    if is_strange.any():
        row, column = np.argwhere(is_strange)[0].tolist()
        raise PatternError(
            f"X must hold 0 and 1, but sample {row}, item {column} is {table[row, column]}; give a table with column "
            "names, whose numbers are cut into bins"
        )
    return np.asarray(table.astype(np.bool_))
