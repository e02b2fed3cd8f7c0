"""The hot loops of `blocks`, compiled by numba: the same results, bit for bit where sums run in the same order."""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import Indices
from .frame import Floats


@njit(cache=True, nogil=True)
def nearest(points: Floats, library: Indices, count: int, theiler: int) -> Indices:
    """The ``count`` rows of the library nearest to each row, Euclidean, ties to the first, none in the window."""
    size, width = points.shape
    found = np.empty((size, count), dtype=np.int64)
    best = np.empty(count)
    for row in range(size):
        held = 0
        for other in library:
            if abs(other - row) <= theiler:
                continue
            square = 0.0
            for column in range(width):
                gap = points[row, column] - points[other, column]
                square += gap * gap
            if held == count and square >= best[count - 1]:
                continue
            place = held if held < count else count - 1
            held = min(held + 1, count)
            while place > 0 and best[place - 1] > square:
                best[place] = best[place - 1]
                found[row, place] = found[row, place - 1]
                place -= 1
            best[place] = square
            found[row, place] = other
    return found


@njit(cache=True, nogil=True)
def _spread(values: Floats) -> float:
    mean = 0.0
    for value in values:
        mean += value
    mean /= len(values)
    square = 0.0
    for value in values:
        square += (value - mean) ** 2
    spread = np.sqrt(square / len(values))
    return spread if spread > 0 else 1.0


@njit(cache=True, nogil=True)
def _distances(
    points: Floats, columns: tuple[int, int], row: int, near: Indices, scaled: bool, scratch: tuple[Floats, Floats]
) -> None:
    """Chebyshev distances between the neighbours' offsets from the state they surround."""
    offsets, out = scratch
    size = len(near)
    out[:, :] = 0.0
    for column in range(columns[0], columns[1]):
        for u in range(size):
            offsets[u] = points[near[u], column] - points[row, column]
        spread = _spread(offsets) if scaled else 1.0
        for u in range(size):
            # Both halves, so that the loop is one over neighbouring numbers.
            for v in range(size):
                apart = abs(offsets[u] - offsets[v]) / spread
                out[u, v] = apart if apart > out[u, v] else out[u, v]


@njit(cache=True, nogil=True)
def _within(of_cause: Floats, of_effect: Floats, scratch: tuple[Floats, Indices, Floats], k: int, psi: Floats) -> float:
    joint, valid, best = scratch
    size = len(joint)
    left = 0
    for u in range(size):
        for v in range(size):
            joint[u, v] = of_cause[u, v] if of_cause[u, v] > of_effect[u, v] else of_effect[u, v]
        valid[u] = 1
        for v in range(u):
            valid[u] &= joint[u, v] != 0.0  # of equal rows the first stays
        left += valid[u]
    if left <= k:
        return 0.0
    terms = 0.0
    for u in range(size):
        if not valid[u]:
            continue
        best[:] = np.inf
        for v in range(size):
            if v == u or not valid[v]:
                continue
            far = joint[u, v]
            # Without branches, which would be guessed wrongly half the time.
            for place in range(k):
                less, far = min(best[place], far), max(best[place], far)
                best[place] = less
        reach = best[k - 1]
        near_cause = 0
        near_effect = 0
        for v in range(size):
            near_cause += valid[v] * (of_cause[u, v] < reach)
            near_effect += valid[v] * (of_effect[u, v] < reach)
        terms += psi[near_cause] + psi[near_effect]
    found: float = psi[k] + psi[left] - terms / left
    return found


@njit(cache=True, nogil=True)
def _local_information(
    causes: Floats, starts: Indices, effect: Floats, neighbours: Indices, rule: tuple[int, bool], psi: Floats
) -> Floats:
    k, scaled = rule
    rows, size = neighbours.shape
    offsets = np.empty(size)
    of_effect, of_cause = np.empty((size, size)), np.empty((size, size))
    scratch = np.empty((size, size)), np.empty(size, dtype=np.int64), np.empty(k)
    out = np.zeros((rows, len(starts) - 1))
    for row in range(rows):
        near = neighbours[row]
        _distances(effect, (0, effect.shape[1]), row, near, scaled, (offsets, of_effect))
        for cause in range(len(starts) - 1):
            _distances(causes, (starts[cause], starts[cause + 1]), row, near, scaled, (offsets, of_cause))
            out[row, cause] = _within(of_cause, of_effect, scratch, k, psi)
    return out


def local_information(
    causes: Floats, starts: Indices, effect: Floats, neighbours: Indices, *, k: int, psi: Floats, scaled: bool
) -> Floats:
    """Information ``[rows, causes]`` between the offsets of each cause and of the effect in each neighbourhood."""
    found: Floats = _local_information(causes, starts, effect, neighbours, (k, scaled), psi)
    return found


@njit(cache=True, nogil=True)
def _apart(points: Floats, one: int, other: int) -> float:
    far = 0.0
    for column in range(points.shape[1]):
        far = max(far, abs(points[one, column] - points[other, column]))
    return far


@njit(cache=True, nogil=True)
def _near_counts(x: Floats, y: Floats, z: Floats, k: int, theiler: int) -> Indices:
    size = len(x)
    found = np.zeros((3, size), dtype=np.int64)
    in_xz, in_yz, in_z = np.empty(size), np.empty(size), np.empty(size)
    best = np.empty(k)
    for row in range(size):
        best[:] = np.inf
        for other in range(size):
            in_z[other] = _apart(z, row, other)
            in_xz[other] = max(_apart(x, row, other), in_z[other])
            in_yz[other] = max(_apart(y, row, other), in_z[other])
            joint = max(in_xz[other], in_yz[other])
            if abs(row - other) <= theiler or joint >= best[k - 1]:
                continue
            place = k - 1
            while place > 0 and best[place - 1] > joint:
                best[place] = best[place - 1]
                place -= 1
            best[place] = joint
        reach = best[k - 1]
        for other in range(size):
            if abs(row - other) > theiler:
                found[0, row] += in_xz[other] < reach
                found[1, row] += in_yz[other] < reach
                found[2, row] += z.shape[1] == 0 or in_z[other] < reach
    return found


def near_counts(x: Floats, y: Floats, z: Floats, *, k: int, theiler: int) -> tuple[Indices, Indices, Indices]:
    """How many rows lie strictly nearer than the k-th joint neighbour in ``(x, z)``, ``(y, z)`` and ``z``."""
    found = _near_counts(x, y, z, k, theiler)
    return found[0], found[1], found[2]
