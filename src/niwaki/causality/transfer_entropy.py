"""Transfer entropy by nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .embedding import Standardise, check_counts, past
from .frame import Floats
from .index import check_delays, score_pair
from .information import ByInformation


@dataclass(frozen=True)
class TransferEntropy(ByInformation):
    """Transfer entropy as an index for `score_matrix` and `CausalNetwork`; see `transfer_entropy`."""

    def check(self, length: int) -> None:
        """Raises an error where series of this length do not go with the settings."""
        check_counts(k=(self.k, 1))
        check_delays(self.order, self.lag, self.theiler, length, self.k)

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """The score of any causes ``[T, d]`` of this effect ``[T, d]``."""
        now, before = effect[self.order * self.lag :], past(effect, self.order, self.lag)
        return lambda causes: np.array([self.estimate(cause, now, before) for cause in causes])


def transfer_entropy(
    x: Any,
    y: Any,
    order: int = 1,
    k: int = 4,
    theiler: int | None = None,
    *,
    lag: int = 1,
    standardise: Standardise = "none",
    signed: bool = False,
) -> float:
    """How much the past of ``x`` tells of ``y`` that ``y``'s own past does not, in nats.

    ``I(x[t - lag], ..., x[t - order lag]; y[t] | y[t - lag], ..., y[t - order lag])`` by nearest neighbours
    (`mutual_information`), its absolute value as in the program of the interventional entropy's authors, which this
    follows.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        order: delays of both pasts.
        k: which neighbour sets the radius.
        theiler: half width of the stretch of time within which states are not compared; ``order * lag`` by default.
        lag: steps between delays.
        standardise: how each component is rescaled first.
        signed: leave the sign of the estimate.

    Source: Schreiber 2000; Frenzel and Pompe 2007.
    """
    return score_pair(TransferEntropy(order, k, theiler, lag, signed), x, y, standardise)
