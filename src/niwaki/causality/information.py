"""Mutual information of samples by nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .digamma import digamma_table
from .embedding import check_counts, check_length, past, window
from .engine import engine
from .errors import CausalityError
from .frame import Floats, as_series


def mutual_information(x: Any, y: Any, z: Any = None, *, k: int = 3, theiler: int = 0) -> float:
    """Information ``I(x; y)`` or, given ``z``, ``I(x; y | z)`` in nats.

    With ``n`` the number of samples strictly nearer than the k-th neighbour in the joint space, all distances being the
    largest over coordinates: ``psi(k) + <psi(n_z + 1) - psi(n_xz + 1) - psi(n_yz + 1)>``; without ``z`` the spaces are
    those of ``x`` and ``y``, and ``n_z + 1`` the number of samples. Assumes values without ties; the estimate may fall
    below zero.

    Args:
        x: samples ``[n]`` or ``[n, d]``.
        y: likewise.
        z: likewise, or nothing.
        k: which neighbour sets the radius.
        theiler: samples within as many places of each other are not compared, for series.

    Raises:
        CausalityError: if the numbers of samples differ.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, e = rng.normal(size=(2, 2000))
    >>> y = 0.6 * x + 0.8 * e
    >>> bool(abs(mutual_information(x, y) + 0.5 * np.log(1 - 0.6**2)) < 0.06)
    True

    Source: Kraskov, Stögbauer, Grassberger 2004, first algorithm; with ``z``: Frenzel and Pompe 2007.
    """
    first, second = as_series(x, "x"), as_series(y, "y")
    third = np.zeros((len(first), 0)) if z is None else as_series(z, "z")
    if not len(first) == len(second) == len(third):
        raise CausalityError(
            f"x, y and z have {len(first)}, {len(second)} and {len(third)} samples; give the same samples of each"
        )
    check_counts(k=(k, 1), theiler=(theiler, 0))
    check_length(len(first), k + 2 * theiler + 1, f"{k} neighbours outside a window of {theiler}")
    return information(first, second, third, k=k, theiler=theiler)


def information(x: Floats, y: Floats, z: Floats, *, k: int, theiler: int) -> float:
    """`mutual_information` of blocks ``[n, d]`` that are checked already; ``z`` may have no columns."""
    in_xz, in_yz, in_z = engine().near_counts(
        np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(z), k=k, theiler=theiler
    )
    psi = digamma_table(len(x) + 1)
    return float(psi[k] + (psi[in_z + 1] - psi[in_xz + 1] - psi[in_yz + 1]).mean())


@dataclass(frozen=True)
class ByInformation:
    """What the indices share that are one estimate of information between a cause's past and something of the effect.

    Args:
        order: delays of the past.
        k: which neighbour sets the radius.
        theiler: half width of the stretch of time within which states are not compared; ``order * lag`` by default.
        lag: steps between delays.
        signed: leave the sign of the estimate.
    """

    order: int = 1
    k: int = 4
    theiler: int | None = None
    lag: int = 1
    signed: bool = False

    @property
    def window(self) -> int:
        """Half width of the time window."""
        return window(self.order, self.lag, self.theiler)

    def estimate(self, cause: Floats, of_effect: Floats, given: Floats) -> float:
        """Information of the past of a cause ``[T, d]`` and blocks ``[T - order lag, d]``; its size unless `signed`."""
        found = information(past(cause, self.order, self.lag), of_effect, given, k=self.k, theiler=self.window)
        return found if self.signed else abs(found)
