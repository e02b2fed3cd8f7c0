"""Interventional embedding entropy: how an effect's offsets answer to a cause's, neighbourhood by neighbourhood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .digamma import digamma_table
from .embedding import Standardise, check_counts, check_length, past, present, window
from .engine import engine, nearest
from .errors import CausalityError
from .frame import Floats
from .index import score_pair


@dataclass(frozen=True)
class InterventionalEntropy:
    """Interventional embedding entropy as an index for `score_matrix` and `CausalNetwork`.

    ``E_t [ I(dX; dY | neighbourhood of Y_t) ]`` in nats; see `interventional_embedding_entropy`.

    Args:
        order: delays of the past, ``p``.
        k: which neighbour sets the radius of the estimate within a neighbourhood.
        neighbours: states in a neighbourhood. Scores compare only at equal order, k and neighbours.
        theiler: half width of the stretch of time from which no neighbours come; ``order * lag`` by default.
        lag: steps between delays.
        signed: leave the sign of each neighbourhood's estimate, so that noise averages out.
        local_scale: divide offsets by their standard deviation within each neighbourhood.
    """

    order: int = 1
    k: int = 2
    neighbours: int = 10
    theiler: int | None = None
    lag: int = 1
    signed: bool = False
    local_scale: bool = False

    @property
    def window(self) -> int:
        """Half width of the time window."""
        return window(self.order, self.lag, self.theiler)

    def check(self, length: int) -> None:
        """Whether series of this length and these settings go together.

        Raises:
            CausalityError: if not.
        """
        check_counts(order=(self.order, 1), lag=(self.lag, 1), k=(self.k, 2), neighbours=(self.neighbours, 1))
        if self.neighbours <= self.k:
            raise CausalityError(f"neighbours={self.neighbours} must exceed k={self.k}: the k-th lies among the others")
        needed = self.order * self.lag + 2 * self.window + 1 + self.neighbours
        check_length(length, needed, f"{self.neighbours} neighbours outside a window of {self.window}")

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """The score of any causes ``[T, d]`` of this effect ``[T, d]``; neighbours are searched once for all."""
        vectors = present(effect, self.order, self.lag)
        near = nearest(vectors, self.neighbours, self.window)
        psi = digamma_table(self.neighbours)

        def scores(causes: Sequence[Floats]) -> Floats:
            pasts = [past(cause, self.order, self.lag) for cause in causes]
            starts = np.cumsum([0, *(block.shape[1] for block in pasts)])
            local = engine().local_information(
                np.concatenate(pasts, axis=1), starts, vectors, near, k=self.k, psi=psi, scaled=self.local_scale
            )
            return np.asarray((local if self.signed else np.abs(local)).mean(axis=0))

        return scores


def interventional_embedding_entropy(
    x: Any,
    y: Any,
    order: int = 1,
    k: int = 2,
    neighbours: int = 10,
    theiler: int | None = None,
    *,
    lag: int = 1,
    standardise: Standardise = "none",
    signed: bool = False,
    local_scale: bool = False,
) -> float:
    """How much ``y`` would move if ``x`` were moved, in nats.

    ``E_t [ I(dX; dY | neighbourhood of Y_t) ]``: the states whose vectors ``Y_t = (y[t], ..., y[t - order lag])`` lie
    nearest to the present one act as its perturbed copies; ``dX`` and ``dY`` are their offsets in ``X_t = (x[t - lag],
    ..., x[t - order lag])`` and in ``Y_t``. The information in each neighbourhood is estimated with the first algorithm
    of Kraskov, Stögbauer and Grassberger, and its absolute value averaged, as the authors' program does.

    By default nothing is rescaled, as in that program, so that the unit of a series changes the score and can turn the
    direction found: give ``standardise="zscore"`` unless both series share a scale. Independent series score above zero
    (noise has no negative share in the mean of absolute values); test with `significance`.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        order: delays of the past.
        k: which neighbour sets the radius of the estimate.
        neighbours: states in a neighbourhood.
        theiler: half width of the stretch of time from which no neighbours come; ``order * lag`` by default.
        lag: steps between delays.
        standardise: how each component is rescaled first.
        signed: leave the sign of each neighbourhood's estimate.
        local_scale: divide offsets by their standard deviation within each neighbourhood.

    Returns:
        The score of ``x -> y``; swap the arguments for the other direction.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).random(400)
    >>> y = np.zeros(400)
    >>> for t in range(399):
    ...     y[t + 1] = 0.5 * y[t] + 0.4 * x[t] ** 2
    >>> interventional_embedding_entropy(x, y) > 2 * interventional_embedding_entropy(y, x)
    True

    Source: Shi, Li, Zhao, Leng, Bao, Aihara, Chen, Lin 2024, and the program they published.
    """
    index = InterventionalEntropy(order, k, neighbours, theiler, lag, signed, local_scale)
    return score_pair(index, x, y, standardise)
