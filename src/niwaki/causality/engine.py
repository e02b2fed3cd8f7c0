"""Which loops run: compiled ones where numba is installed, NumPy's where not; a tree for long series."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

import numpy as np

from .blocks import Indices
from .frame import Floats


class Engine(Protocol):
    """The hot loops; `blocks` and `compiled` both have them."""

    def nearest(self, points: Floats, wanted: Indices, count: int, theiler: int) -> Indices:
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


def nearest(points: Floats, count: int, theiler: int) -> Indices:
    """The ``count`` rows nearest to each row ``[rows, count]``, Euclidean, ties to the lower index.

    Rows within ``theiler`` steps of time are no candidates.
    """
    points = np.ascontiguousarray(points)
    return engine().nearest(points, np.arange(len(points)), count, theiler)
