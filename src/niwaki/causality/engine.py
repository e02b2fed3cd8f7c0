"""Which loops run: compiled ones where numba is installed, NumPy's where not; a tree for long series."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Protocol, cast

import numpy as np

from .blocks import Indices
from .frame import Floats


class Engine(Protocol):
    """The hot loops; `blocks` and `compiled` both have them."""

    def nearest(self, points: Floats, library: Indices, count: int, theiler: int) -> Indices:
        """Neighbours by brute force."""
        ...

    def local_information(
        self,
        causes: Floats,
        starts: Indices,
        effect: Floats,
        neighbours: Indices,
        *,
        k: int,
        psi: Floats,
        scaled: bool,
    ) -> Floats:
        """Information within each neighbourhood."""
        ...

    def near_counts(self, x: Floats, y: Floats, z: Floats, *, k: int, theiler: int) -> tuple[Indices, Indices, Indices]:
        """Counts for information over all rows."""
        ...


def engine() -> Engine:
    """The loops to run."""
    try:
        found = importlib.import_module(".compiled", __package__)
    except ImportError:
        found = importlib.import_module(".blocks", __package__)
    return cast(Engine, found)


# Above as many rows a tree pays, if the time window is not much wider than the neighbourhood.
_TREE = 1000
_WIDE = 64


def nearest(points: Floats, count: int, theiler: int) -> Indices:
    """The ``count`` rows nearest to each row ``[rows, count]``, Euclidean, ties to the lower index.

    Rows within ``theiler`` steps of time are no candidates. Long series are searched with SciPy's tree, if there is
    SciPy.
    """
    points = np.ascontiguousarray(points)
    if len(points) >= _TREE and count + 2 * theiler + 2 <= _WIDE and importlib.util.find_spec("scipy"):
        return _by_tree(points, count, theiler)
    return engine().nearest(points, np.arange(len(points)), count, theiler)


def _by_tree(points: Floats, count: int, theiler: int) -> Indices:
    """The same by a tree: candidates from it, then our own distances; brute force where rounding could decide."""
    tree = importlib.import_module("scipy.spatial").cKDTree(points)
    # The window hides up to 2 theiler + 1 rows; one more than needed shows whether the last place is contested.
    wide = count + 2 * theiler + 2
    candidates = np.sort(tree.query(points, k=wide)[1], axis=1).astype(np.int64)
    squares = np.zeros(candidates.shape)
    for column in points.T:
        squares += (column[:, None] - column[candidates]) ** 2
    squares[np.abs(np.arange(len(points))[:, None] - candidates) <= theiler] = np.inf
    order = np.argsort(squares, axis=1, kind="stable")[:, : count + 1]
    # In one piece, so that the compiled loops meet one layout of memory and are compiled once.
    found = np.ascontiguousarray(np.take_along_axis(candidates, order, axis=1)[:, :count])
    ends = np.take_along_axis(squares, order[:, -2:], axis=1)
    for row in np.flatnonzero(ends[:, 1] <= ends[:, 0] * (1 + 1e-9)):
        found[row] = _exact(points, int(row), count, theiler)
    return found


def _exact(points: Floats, row: int, count: int, theiler: int) -> Indices:
    squares = np.zeros(len(points))
    for column in points.T:
        squares += (column[row] - column) ** 2
    squares[max(row - theiler, 0) : row + theiler + 1] = np.inf
    return np.argsort(squares, kind="stable")[:count]
