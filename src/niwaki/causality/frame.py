"""Series from whatever table they come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CausalityError

Floats = NDArray[np.float64]

# Squares of differences beyond this leave the range of float64.
LARGEST = 1e150


@dataclass(frozen=True)
class Table:
    """Named series of one length.

    Args:
        names: a name per variable.
        series: a block ``[T, d]`` per variable; ``d`` is 1 but for vector variables.
    """

    names: tuple[str, ...]
    series: tuple[Floats, ...]

    @property
    def length(self) -> int:
        """Time points."""
        return len(self.series[0])


def _numbers(found: NDArray[Any], name: str) -> Floats:
    """Objects that are numbers, such as a column with gaps, as numbers.

    Raises:
        CausalityError: if they are anything else.
    """
    try:
        if found.dtype.kind == "O":
            return found.astype(np.float64)
    except (TypeError, ValueError):
        pass  # said below, as for text and dates
    raise CausalityError(
        f"series {name!r} holds {found.dtype} values, not real numbers; leave the column out or encode it"
    )


def as_series(values: Any, name: str) -> Floats:
    """One variable as ``[T, d]`` float64, checked.

    Args:
        values: ``[T]``, or ``[T, d]`` for a vector variable: time runs down the rows.
        name: how messages call it.

    Raises:
        CausalityError: if the values are not numbers, not finite, too large to square, or not of one or two dimensions.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "buif":
        found = _numbers(found, name)
    if found.ndim not in (1, 2) or found.size == 0:
        raise CausalityError(f"series {name!r} has shape {found.shape}; give [T] or, for a vector variable, [T, d]")
    block = np.array(found.reshape(len(found), -1), dtype=np.float64, order="C")
    bad = np.argwhere(~np.isfinite(block))
    if len(bad):
        raise CausalityError(
            f"series {name!r} has {len(bad)} values that are NaN or infinite, the first at time {bad[0][0]}; fill the "
            "gaps or cut them out: delay vectors must not run across them"
        )
    if np.abs(block).max() > LARGEST:
        raise CausalityError(f"series {name!r} has values beyond {LARGEST:g}, whose distances overflow; rescale it")
    return block


def _of_pandas(column: Any) -> NDArray[Any]:
    # Whole numbers with gaps are numbers, but come out as objects unless told how to write a gap.
    if getattr(column.dtype, "kind", "O") in "buif":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.asarray(column.to_numpy())


def _columns(frame: Any) -> list[tuple[str, Any]]:
    """Names and values of a mapping, a data frame of pandas or polars, or a matrix.

    Raises:
        CausalityError: if it is no table.
    """
    if isinstance(frame, Mapping):
        return [(str(name), values) for name, values in frame.items()]
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        if hasattr(frame, "iloc"):
            # By place, since names may appear twice, which is said afterwards.
            return [(str(name), _of_pandas(frame.iloc[:, i])) for i, name in enumerate(frame.columns)]
        return [(str(name), frame[name].to_numpy()) for name in frame.columns]
    matrix = np.asarray(frame)
    if matrix.ndim != 2:
        raise CausalityError(
            f"a frame of shape {matrix.shape} is no table; give [T, variables], a data frame, or a dict of columns"
        )
    return [(f"x{number}", column) for number, column in enumerate(matrix.T)]


def as_table(frame: Any) -> Table:
    """Names and series of a frame.

    Args:
        frame: a matrix ``[T, variables]`` (named ``x0``, ``x1`` ...), a data frame of pandas or polars, or a dict of
            columns, in which a block ``[T, d]`` is one vector variable.

    Raises:
        CausalityError: if there are fewer than two variables, two of one name, or their lengths differ.
    """
    columns = _columns(frame)
    if len(columns) < 2:
        raise CausalityError(f"the frame has {len(columns)} variables; a cause and an effect take at least two")
    counts = Counter(name for name, _ in columns)
    if max(counts.values()) > 1:
        twice = ", ".join(name for name, count in counts.items() if count > 1)
        raise CausalityError(f"column names appear twice: {twice}; rename them")
    series = {name: as_series(values, name) for name, values in columns}
    lengths = {name: len(block) for name, block in series.items()}
    if len(set(lengths.values())) > 1:
        raise CausalityError(f"the series differ in length: {lengths}; cut them to the same times")
    return Table(tuple(series), tuple(series.values()))


def remarks(table: Table) -> tuple[str, ...]:
    """What in the data limits the conclusions: constant series, and pairs of equal ones."""
    found = [
        f"{name!r} is constant: nothing can be said of it, its scores are 0"
        for name, block in zip(table.names, table.series, strict=True)
        if is_constant(block)
    ]
    first: dict[bytes, str] = {}
    for name, block in zip(table.names, table.series, strict=True):
        if is_constant(block):
            continue
        twin = first.setdefault((block + 0.0).tobytes(), name)  # + 0.0: minus zero equals zero
        if twin != name:
            found.append(f"{name!r} equals {twin!r}: which of the two acts cannot be told")
    return tuple(found)


def is_constant(block: Floats) -> bool:
    """Whether no component ever moves."""
    return bool((block == block[0]).all())
