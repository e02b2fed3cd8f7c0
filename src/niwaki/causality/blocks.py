"""The hot loops in NumPy, block by block: what runs where numba is not installed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .frame import Floats

Indices = NDArray[np.int64]

# Numbers in the largest array of a block: about 32 MiB.
_BLOCK = 4_000_000


def _blocks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def _apart(rows: slice, count: int, theiler: int) -> NDArray[np.bool_]:
    """Pairs of a row of the block and any row that lie more than the window apart in time."""
    return np.abs(np.arange(rows.start, rows.stop)[:, None] - np.arange(count)) > theiler


def nearest(points: Floats, library: Indices, count: int, theiler: int) -> Indices:
    """The ``count`` rows of the library nearest to each row, Euclidean, ties to the first, none in the window."""
    found = np.empty((len(points), count), dtype=np.int64)
    for rows in _blocks(len(points), len(library)):
        squares = np.zeros((rows.stop - rows.start, len(library)))
        for column in points.T:
            squares += (column[rows, None] - column[library]) ** 2
        squares[np.abs(np.arange(rows.start, rows.stop)[:, None] - library) <= theiler] = np.inf
        found[rows] = library[np.argsort(squares, axis=1, kind="stable")[:, :count]]
    return found


def _spread(values: Floats) -> Floats:
    """Standard deviations ``[rows]`` of ``[rows, N]``, summed in the order of the compiled loop: ties depend on it."""
    mean, square = np.zeros(len(values)), np.zeros(len(values))
    for column in values.T:
        mean += column
    mean /= values.shape[1]
    for column in values.T:
        square += (column - mean) ** 2
    spread = np.sqrt(square / values.shape[1])
    return np.where(spread > 0, spread, 1.0)


def _distances(points: Floats, rows: slice, neighbours: Indices, scaled: bool) -> Floats:
    """Chebyshev distances ``[rows, N, N]`` between the neighbours' offsets from the state they surround."""
    near = neighbours[rows]
    distance = np.zeros((len(near), near.shape[1], near.shape[1]))
    for column in points.T:
        offsets = column[near] - column[rows, None]
        apart = np.abs(offsets[:, :, None] - offsets[:, None, :])
        if scaled:
            apart /= _spread(offsets)[:, None, None]
        np.maximum(distance, apart, out=distance)
    return distance


def local_information(
    causes: Floats, starts: Indices, effect: Floats, neighbours: Indices, *, k: int, psi: Floats, scaled: bool
) -> Floats:
    """Information ``[rows, causes]`` between the offsets of each cause and of the effect in each neighbourhood."""
    rows_all, size = neighbours.shape
    out = np.zeros((rows_all, len(starts) - 1))
    for rows in _blocks(rows_all, size * size * 4):
        of_effect = _distances(effect, rows, neighbours, scaled)
        for cause, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
            of_cause = _distances(causes[:, start:stop], rows, neighbours, scaled)
            out[rows, cause] = _within(of_cause, of_effect, k, psi)
    return out


def neighbourhood_distances(
    spaces: tuple[Floats, ...], neighbours: Indices, scaled: bool
) -> Iterator[tuple[Floats, ...]]:
    """Block by block, distances ``[rows, N, N]`` of each space's offsets within the neighbourhoods."""
    rows_all, size = neighbours.shape
    for rows in _blocks(rows_all, size * size * 4):
        yield tuple(_distances(space, rows, neighbours, scaled) for space in spaces)


def _within(of_cause: Floats, of_effect: Floats, k: int, psi: Floats) -> Floats:
    joint = np.maximum(of_cause, of_effect)
    size = joint.shape[1]
    earlier = np.tri(size, k=-1, dtype=bool)
    valid = ~((joint == 0) & earlier).any(axis=2)  # of equal rows the first stays
    left = valid.sum(axis=1)
    others = joint.copy()
    others[~np.broadcast_to(valid[:, None, :], others.shape)] = np.inf
    others[:, np.arange(size), np.arange(size)] = np.inf
    reach = np.partition(others, k - 1, axis=2)[:, :, k - 1, None]
    near_cause = ((of_cause < reach) & valid[:, None, :]).sum(axis=2)
    near_effect = ((of_effect < reach) & valid[:, None, :]).sum(axis=2)
    terms = np.where(valid, psi[near_cause] + psi[near_effect], 0.0).sum(axis=1)
    return np.where(left > k, psi[k] + psi[left] - terms / np.maximum(left, 1), 0.0)


def _to_all(points: Floats, rows: slice) -> Floats:
    """Chebyshev distances of the block's rows to all rows; 0 without columns."""
    distance = np.zeros((rows.stop - rows.start, len(points)))
    for column in points.T:
        np.maximum(distance, np.abs(column[rows, None] - column), out=distance)
    return distance


def near_counts(x: Floats, y: Floats, z: Floats, *, k: int, theiler: int) -> tuple[Indices, Indices, Indices]:
    """How many rows lie strictly nearer than the k-th joint neighbour in ``(x, z)``, ``(y, z)`` and ``z``."""
    size = len(x)
    found = np.empty((3, size), dtype=np.int64)
    for rows in _blocks(size, size):
        apart = _apart(rows, size, theiler)
        in_z = _to_all(z, rows)
        in_xz, in_yz = np.maximum(_to_all(x, rows), in_z), np.maximum(_to_all(y, rows), in_z)
        joint = np.where(apart, np.maximum(in_xz, in_yz), np.inf)
        reach = np.partition(joint, k - 1, axis=1)[:, k - 1, None]
        for row, distance in enumerate((in_xz, in_yz, in_z)):
            near = np.ones_like(apart) if row == 2 and z.shape[1] == 0 else distance < reach
            found[row, rows] = (near & apart).sum(axis=1)
    return found[0], found[1], found[2]
