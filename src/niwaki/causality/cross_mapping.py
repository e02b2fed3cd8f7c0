"""Convergent cross mapping: is the cause written in the effect's state space?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import Indices
from .embedding import Standardise, check_counts, check_length, delayed, past, present, window
from .engine import engine, nearest
from .errors import CausalityError
from .frame import Floats, as_series
from .index import check_delays, neighbours_of, score_pair

# The least weight of a neighbour in convergent cross mapping, as in the published programs.
_LEAST = 1e-6


@dataclass(frozen=True)
class CrossMapping:
    """Cross mapping over all states as an index for `score_matrix` and `CausalNetwork`; see `cross_mapping`.

    Args:
        order: delays of the past.
        theiler: half width of the stretch of time from which no neighbours come; ``order * lag`` by default.
        lag: steps between delays.
    """

    order: int = 2
    theiler: int | None = None
    lag: int = 1

    @property
    def window(self) -> int:
        """Half width of the time window."""
        return window(self.order, self.lag, self.theiler)

    def check(self, length: int) -> None:
        """Raises an error where series of this length do not go with the settings."""
        check_delays(self.order, self.lag, self.theiler, length, self.order + 2)

    def prepare(self, effect: Floats) -> Callable[[Sequence[Floats]], Floats]:
        """The score of any causes ``[T, d]`` of this effect ``[T, d]``; neighbours are searched once for all."""
        vectors = present(effect, self.order, self.lag)
        near = nearest(vectors, neighbours_of(vectors, self.window), self.window)
        weights = _weights(vectors, near, 0.0)

        def score(cause: Floats) -> float:
            wanted = past(cause, self.order, self.lag)
            return float(np.abs(_correlations(np.einsum("nk,nkc->nc", weights, wanted[near]), wanted)).mean())

        return lambda causes: np.array([score(cause) for cause in causes])


def _weights(vectors: Floats, near: Indices, least: float) -> Floats:
    """Weights ``[rows, k]`` of the neighbours, falling with their distance in units of the nearest one's."""
    distance = np.sqrt(((vectors[near] - vectors[:, None, :]) ** 2).sum(axis=2))
    first = distance[:, :1]
    # Where neighbours coincide with the state, they alone count.
    share = np.where(first > 0, np.exp(-distance / np.where(first > 0, first, 1.0)), distance == 0)
    share = np.maximum(share, least)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def _correlations(one: Floats, other: Floats) -> Floats:
    """Pearson's correlation column by column; 0 where a column does not move."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    scale = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    return np.asarray(np.where(scale > 0, (one * other).sum(axis=0) / np.where(scale > 0, scale, 1.0), 0.0))


def cross_mapping(
    x: Any, y: Any, order: int = 2, theiler: int | None = None, *, lag: int = 1, standardise: Standardise = "none"
) -> float:
    """How well the past of ``x`` is foretold from the states of ``y`` like the present one.

    Each ``x[t - lag], ..., x[t - order lag]`` is predicted from the times of the nearest vectors of ``y``, one more
    than these have coordinates, weighted by ``exp(-d / d_1)``; the score is the mean absolute correlation with what it
    was. Whether it grows with the length of the series is asked by `convergent_cross_mapping`.

    Args:
        x: the cause, ``[T]`` or ``[T, d]``.
        y: the effect, likewise.
        order: delays of the past.
        theiler: half width of the stretch of time from which no neighbours come; ``order * lag`` by default.
        lag: steps between delays.
        standardise: how each component is rescaled first.

    Source: Sugihara and others 2012, in the form of the interventional entropy's authors.
    """
    return score_pair(CrossMapping(order, theiler, lag), x, y, standardise)


@dataclass(frozen=True)
class Convergence:
    """Cross-map skill by size of the library.

    Args:
        sizes: states in the library, ``[sizes]``.
        skill: correlation of prediction and truth, mean over the samples, ``[sizes]``.
        samples: the same for each sample, ``[sizes, samples]``.
    """

    sizes: Indices
    skill: Floats
    samples: Floats

    @property
    def gain(self) -> float:
        """Skill at the last size less skill at the first; a cause's grows."""
        return float(self.skill[-1] - self.skill[0])

    @property
    def p(self) -> float:
        """Share of the first size's samples that do as well as the last size's mean: small where skill grows."""
        return float((1 + (self.samples[0] >= self.skill[-1]).sum()) / (1 + self.samples.shape[1]))


def convergent_cross_mapping(
    x: Any,
    y: Any,
    sizes: Sequence[int],
    *,
    dimension: int = 3,
    lag: int = 1,
    shift: int = 0,
    theiler: int = 0,
    samples: int = 100,
    seed: int = 0,
) -> Convergence:
    """Whether states of ``y`` tell those of ``x`` the better the more are known, as they do if ``x`` acts on ``y``.

    For each size, ``samples`` libraries of as many vectors ``(y[t], y[t - lag], ...)`` are drawn without repetition,
    and ``x[t + shift]`` at every time predicted from the ``dimension + 1`` nearest vectors of the library, never the
    state itself.

    Args:
        x: the cause, ``[T]``.
        y: the effect, ``[T]``.
        sizes: of the libraries, ascending.
        dimension: coordinates of a vector.
        lag: steps between them.
        shift: steps from the vector's last time to what is predicted; below 0 for the past.
        theiler: half width of the stretch of time from which no neighbours come; 0 leaves out the state alone.
        samples: libraries of each size.
        seed: of the random numbers.

    Raises:
        CausalityError: if the series differ in length or have components, or a size is not within reach.

    Source: Sugihara and others 2012; Ye and others 2015 for the shift.
    """
    cause, effect = as_series(x, "x"), as_series(y, "y")
    if cause.shape != effect.shape or cause.shape[1] > 1:
        raise CausalityError(f"x is {cause.shape}, y {effect.shape}; give two single series of the same times")
    check_counts(dimension=(dimension, 1), lag=(lag, 1), theiler=(theiler, 0), samples=(samples, 1))
    start, end = max((dimension - 1) * lag, -shift), len(effect) - max(shift, 0)
    check_length(end - start, 2 * theiler + dimension + 3, "the neighbours of a vector")
    vectors = delayed(effect, range(0, dimension * lag, lag), (dimension - 1) * lag)
    vectors = np.ascontiguousarray(vectors[start - (dimension - 1) * lag : end - (dimension - 1) * lag])
    wanted = cause[start + shift : end + shift]
    low, high = 2 * theiler + dimension + 2, len(vectors)
    if not len(sizes) or list(sizes) != sorted(sizes) or sizes[0] < low or sizes[-1] > high:
        raise CausalityError(f"sizes={list(sizes)} will not do; give ascending sizes between {low} and {high}")
    rng = np.random.default_rng(seed)
    found = np.empty((len(sizes), samples))
    for row, size in enumerate(sizes):
        for sample in range(samples):
            library = np.sort(rng.permutation(high)[:size])
            near = engine().nearest(vectors, library, dimension + 1, theiler)
            guess = np.einsum("nk,nkc->nc", _weights(vectors, near, _LEAST), wanted[near])
            found[row, sample] = _correlations(guess, wanted)[0]
    return Convergence(np.array(sizes), found.mean(axis=1), found)
