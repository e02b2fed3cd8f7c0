"""Items as bits, the samples of one stratum and one label side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import PatternError
from .findings import Floats, Ints

Words = NDArray[np.uint64]
_BLOCK = 64


@dataclass(frozen=True, eq=False)
class Packed:
    """Boolean items, eight samples a byte.

    Args:
        bits: ``[items, ceil(samples / 8)]`` bytes; sample ``i`` is bit ``i % 8`` of byte ``i // 8`` (little-endian).
        samples: how many samples there are.

    Raises:
        PatternError: if the bytes do not fit the samples.
    """

    bits: NDArray[np.uint8]
    samples: int

    def __post_init__(self) -> None:
        wanted = (self.samples + 7) // 8
        if self.bits.ndim != 2 or self.bits.dtype != np.uint8 or self.bits.shape[1] != wanted:
            raise PatternError(
                f"packed items are {self.bits.dtype} of shape {self.bits.shape}; {self.samples} samples need "
                f"uint8 of shape [items, {wanted}]: use pack() or pack_columns()"
            )


def pack(items: NDArray[np.bool_]) -> Packed:
    """Pack a boolean table ``[samples, items]``.

    >>> pack(np.array([[True, False], [True, True], [False, True]])).bits.tolist()
    [[3], [6]]
    """
    return Packed(np.packbits(items.T, axis=1, bitorder="little"), items.shape[0])


def pack_columns(starts: Ints, rows: Ints, samples: int) -> Packed:
    """Pack what a column-compressed table (SciPy's ``csc_array``) calls ``indptr`` and ``indices``.

    Item ``j`` holds in the samples ``rows[starts[j]:starts[j + 1]]``.

    >>> pack_columns(np.array([0, 2, 4]), np.array([0, 1, 1, 2]), 3).bits.tolist()
    [[3], [6]]
    """
    bits = np.zeros((len(starts) - 1, (samples + 7) // 8), np.uint8)
    column = np.zeros(samples, np.bool_)
    for item, (start, end) in enumerate(zip(starts.tolist(), starts[1:].tolist(), strict=False)):
        column[rows[start:end]] = True
        bits[item] = np.packbits(column, bitorder="little")
        column[rows[start:end]] = False
    return Packed(bits, samples)


class Layout(NamedTuple):
    """The samples in cells, one after the other: stratum 0 with label 1, stratum 0 with label 0, stratum 1 ...

    Every cell begins with a new word, so that whole words belong to one cell.

    Args:
        bits: the items, rare ones first, ``[items, words]``; items that all samples hold, or none, are left out.
        full: all samples, ``[words]``.
        cells: where each cell begins, ``[2 * strata + 1]``.
        sizes: samples in each stratum.
        ones: samples of label 1 in each stratum.
        columns: where the items stood in the table.
        slots: where the samples stand, as bit numbers, ``[samples]`` in the order of the cells.
        supports: samples of each stratum that hold each item, ``[items, strata]``.
    """

    bits: Words
    full: Words
    cells: Ints
    sizes: Floats
    ones: Floats
    columns: Ints
    slots: Ints
    supports: Floats


def _unpacked(items: NDArray[np.bool_] | Packed, columns: Ints) -> NDArray[np.uint8]:
    """Some items as one byte a sample, ``[columns, samples]``."""
    if isinstance(items, Packed):
        return np.unpackbits(items.bits[columns], axis=1, count=items.samples, bitorder="little")
    return np.ascontiguousarray(items[:, columns].T).view(np.uint8)


def supports(items: NDArray[np.bool_] | Packed) -> Ints:
    """How many samples hold each item."""
    if isinstance(items, Packed):
        whole, rest = divmod(items.samples, 8)
        counts = np.bitwise_count(items.bits[:, :whole]).sum(axis=1, dtype=np.int64)
        if rest:  # what stands behind the last sample does not count
            counts += np.bitwise_count(items.bits[:, whole] & np.uint8((1 << rest) - 1))
        return np.asarray(counts)
    return np.asarray(np.count_nonzero(items, axis=0), np.int64)


def _order(items: NDArray[np.bool_] | Packed, columns: Ints, cell: Ints) -> Ints:
    """The samples by cell, and within by their most frequent items, so that those of a pattern stand close together."""
    frequent = columns[::-1][:_BLOCK]
    key = np.zeros(len(cell), np.uint64)
    for row in _unpacked(items, frequent):
        key = (key << np.uint64(1)) | row
    return np.lexsort((key, cell))


def lay_out(items: NDArray[np.bool_] | Packed, labels: NDArray[np.bool_], strata: Ints, min_support: int) -> Layout:
    """Put samples into cells and items into words; ``strata`` are numbered from 0 without gaps."""
    samples, count = len(labels), int(strata.max()) + 1
    support = supports(items)
    columns = np.argsort(support, kind="stable")
    columns = columns[(support[columns] >= min_support) & (support[columns] < samples)]
    cell = 2 * strata + ~labels
    sizes = np.bincount(cell, minlength=2 * count)
    cells = np.concatenate([[0], np.cumsum((sizes + 63) // 64)])
    order = _order(items, columns, cell)
    slots = np.concatenate([64 * start + np.arange(size) for start, size in zip(cells, sizes, strict=False)])
    bits = np.zeros((len(columns), 8 * cells[-1]), np.uint8)
    spread = np.zeros((_BLOCK, 64 * cells[-1]), np.uint8)
    for start in range(0, len(columns), _BLOCK):
        rows = _unpacked(items, columns[start : start + _BLOCK])
        spread[: len(rows), slots] = rows[:, order]
        bits[start : start + len(rows)] = np.packbits(spread[: len(rows)], axis=1, bitorder="little")
    full = np.zeros(64 * cells[-1], np.uint8)
    full[slots] = 1
    words = bits.view("<u8").astype(np.uint64, copy=False)
    return Layout(
        bits=words,
        full=np.packbits(full, bitorder="little").view("<u8").astype(np.uint64, copy=False),
        cells=cells.astype(np.int64),
        sizes=sizes.reshape(count, 2).sum(axis=1).astype(np.float64),
        ones=sizes[::2].astype(np.float64),
        columns=columns.astype(np.int64),
        slots=slots.astype(np.int64),
        supports=_by_stratum(words, cells),
    )


def _by_stratum(bits: Words, cells: Ints) -> Floats:
    x = np.zeros((len(bits), len(cells) // 2))
    for j, (start, end) in enumerate(zip(cells[:-1:2], cells[2::2], strict=True)):
        x[:, j] = np.bitwise_count(bits[:, start:end]).sum(axis=1, dtype=np.int64)
    return x
