"""Embedding entropy, the precursor of the interventional one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .embedding import Standardise, check_counts, present, standardised
from .engine import nearest
from .errors import CausalityError
from .frame import Floats, as_series, is_constant
from .index import check_delays, neighbours_of, score_pair
from .information import ByInformation


@dataclass(frozen=True)
class EmbeddingEntropy(ByInformation):
    """Embedding entropy as an index for `score_matrix` and `CausalNetwork`; see `embedding_entropy`."""

    def check(self, length: int) -> None:
        """Raises an error where series of this length do not go with the settings."""
        check_counts(k=(self.k, 1))
        check_delays(self.order, self.lag, self.theiler, length, max(self.k, self.order + 2))

    def surroundings(self, series: Floats) -> Floats:
        """For each state the vectors of its ``d (order + 1) + 1`` nearest ones, end to end."""
        vectors = present(series, self.order, self.lag)
        near = nearest(vectors, neighbours_of(vectors, self.window), self.window)
        return vectors[near].reshape(len(vectors), -1)

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """The score of any causes ``[T, d]`` of this effect ``[T, d]``; neighbours are searched once for all."""
        near = self.surroundings(effect)
        return lambda causes: np.array([self.estimate(cause, near, np.zeros((len(near), 0))) for cause in causes])


def embedding_entropy(
    x: Any,
    y: Any,
    z: Any = None,
    order: int = 1,
    k: int = 4,
    theiler: int | None = None,
    *,
    lag: int = 1,
    standardise: Standardise = "none",
    signed: bool = False,
) -> float:
    """What the surroundings of ``y``'s state tell of the past of ``x``, in nats.

    ``I(X_t; NN(Y_t))`` or, with ``z``, the conditional form ``I(X_t; NN(Y_t) | NN(Z_t))``, where ``X_t = (x[t - lag],
    ..., x[t - order lag])`` and ``NN`` the nearest vectors of the delay space of ``y`` or ``z`` set end to end, one
    more than the space has coordinates. One estimate over all states (`mutual_information`), its absolute value.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        z: what may act on both, likewise, or nothing.
        order: delays of the past.
        k: which neighbour sets the radius.
        theiler: half width of the stretch of time from which no neighbours come; ``order * lag`` by default.
        lag: steps between delays.
        standardise: how each component is rescaled first.
        signed: leave the sign of the estimate.

    Raises:
        CausalityError: if the series differ in length.

    Source: Shi, Chen, Aihara 2022 (embedding entropy and its conditional form).
    """
    index = EmbeddingEntropy(order, k, theiler, lag, signed)
    if z is None:
        return score_pair(index, x, y, standardise)
    cause, effect, third = (standardised(as_series(s, n), standardise) for s, n in ((x, "x"), (y, "y"), (z, "z")))
    if not len(cause) == len(effect) == len(third):
        raise CausalityError(
            f"x, y and z have {len(cause)}, {len(effect)} and {len(third)} time points; cut them to the same times"
        )
    index.check(len(effect))
    if is_constant(cause) or is_constant(effect):
        return 0.0  # nothing acts, or nothing answers
    return index.estimate(cause, index.surroundings(effect), index.surroundings(third))
