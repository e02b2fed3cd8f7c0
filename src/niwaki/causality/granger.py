"""Granger causality: does a linear forecast improve?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .embedding import check_counts, check_length, past
from .frame import Floats
from .index import score_pair

# Residuals below this share of what they are left from are rounding, not chance.
_ROUNDING = 1e-26


@dataclass(frozen=True)
class Granger:
    """Granger causality as an index for `score_matrix` and `CausalNetwork`; see `granger`.

    Args:
        order: delays of both pasts.
        lag: steps between delays.
        intercept: whether the forecasts have a constant term.
    """

    order: int = 1
    lag: int = 1
    intercept: bool = True

    @property
    def window(self) -> int:
        """Steps of time that a vector spans."""
        return self.order * self.lag

    def check(self, length: int) -> None:
        """Raises an error where series of this length do not go with the settings."""
        check_counts(order=(self.order, 1), lag=(self.lag, 1))
        check_length(length, self.window + 2 * self.order + self.intercept + 2, "the coefficients of the forecast")

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """The score of any causes ``[T, d]`` of this effect ``[T, d]``; its own forecast is made once for all."""
        now, own = effect[self.window :], past(effect, self.order, self.lag)
        if self.intercept:
            own = np.column_stack([np.ones(len(own)), own])
        basis = _basis(own)
        reduced = now - basis @ (basis.T @ now)
        rest = reduced.var(axis=0, ddof=1).mean()
        total = now.var(axis=0, ddof=1).mean()

        def score(cause: Floats) -> float:
            if rest <= _ROUNDING * total:
                return 0.0  # its own past tells all; nothing is left to explain
            other = past(cause, self.order, self.lag)
            further = _basis(other - basis @ (basis.T @ other), np.linalg.norm(other, axis=0).max())
            full = reduced - further @ (further.T @ reduced)
            left = full.var(axis=0, ddof=1).mean()
            return float(-np.log(max(left / rest, _ROUNDING)))

        return lambda causes: np.array([score(cause) for cause in causes])


def _basis(columns: Floats, scale: float | None = None) -> Floats:
    """Orthonormal columns that span what the given ones span, up to rounding."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    largest = sizes[0] if scale is None else scale
    return np.asarray(left[:, sizes > 1e-12 * largest])


def granger(x: Any, y: Any, order: int = 1, *, lag: int = 1, intercept: bool = True) -> float:
    """How much a linear forecast of ``y`` from its own past improves with the past of ``x``.

    ``-log(var(full) / var(reduced))``, the variances of the forecasts' errors averaged over the components of ``y``.
    For Gaussian series it is twice the transfer entropy. No scale of ``x`` or ``y`` changes it.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        order: delays of both pasts.
        lag: steps between delays.
        intercept: whether the forecasts have a constant term; the program of the interventional entropy's authors has
            none, so that a mean far from zero spoils its forecasts.

    Source: Granger 1969; Geweke 1982.
    """
    return score_pair(Granger(order, lag, intercept), x, y, "none")
