"""How well scores rank the edges that are really there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import CausalityError
from .frame import Floats
from .scores import ScoreMatrix

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Evaluation:
    """How well scores rank true edges before others.

    Args:
        auroc: chance that a true edge scores above another pair, ties counted half; 0.5 for blind guessing.
        aupr: area under precision over recall, by steps (average precision); blind guessing reaches `prevalence`.
        edges: pairs that are true edges.
        pairs: pairs compared.
    """

    auroc: float
    aupr: float
    edges: int
    pairs: int

    @property
    def prevalence(self) -> float:
        """Share of true edges among the pairs."""
        return self.edges / self.pairs


def as_truth(truth: Any, names: tuple[str, ...]) -> Booleans:
    """True edges as ``[n, n]`` booleans, row = cause, column = effect.

    Args:
        truth: such a matrix (0 and 1, or booleans), or pairs of names ``(cause, effect)``.
        names: of the variables.

    Raises:
        CausalityError: if the shape does not fit, entries are neither 0 nor 1, or a name is unknown.
    """
    size = len(names)
    if isinstance(truth, np.ndarray) or hasattr(truth, "to_numpy"):
        matrix = np.asarray(truth.to_numpy() if hasattr(truth, "to_numpy") else truth)
        if matrix.shape != (size, size):
            raise CausalityError(f"the truth has shape {matrix.shape}; {size} variables take [{size}, {size}]")
        if not np.isin(matrix, (0, 1)).all():
            raise CausalityError("the truth holds something other than 0 and 1; row = cause, column = effect")
        return matrix.astype(bool)
    found = np.zeros((size, size), dtype=bool)
    for pair in truth:
        source, target = _pair(pair, names)
        found[source, target] = True
    return found


def _pair(pair: Any, names: tuple[str, ...]) -> tuple[int, int]:
    ends = tuple(pair)
    if len(ends) != 2 or not all(str(end) in names for end in ends):
        raise CausalityError(f"{ends} is no pair (cause, effect) of the variables {', '.join(names)}")
    return names.index(str(ends[0])), names.index(str(ends[1]))


def auroc(scores: Floats, labels: Booleans) -> float:
    """Chance that a true one scores above a false one, ties counted half.

    >>> auroc(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    true, false = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - true * (true + 1) / 2) / (true * false))


def aupr(scores: Floats, labels: Booleans) -> float:
    """Average precision: precision summed over the steps of recall, equal scores taken at once.

    >>> aupr(np.array([0.9, 0.8, 0.1]), np.array([True, False, True]))
    0.8333333333333333
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(labels[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, taken = hits[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / hits[-1])


def evaluate(
    scores: ScoreMatrix | Floats,
    truth: Any,
    *,
    ignore: Iterable[tuple[str, str]] = (),
) -> Evaluation:
    """AUROC and AUPR of scores against the true edges, over all ordered pairs of different variables.

    Args:
        scores: a score matrix, or ``[n, n]`` values (row = cause; then the names are ``x0``, ``x1`` ...).
        truth: ``[n, n]`` of 0 and 1 with row = cause, or pairs of names ``(cause, effect)``.
        ignore: pairs of which the truth is not known.

    Raises:
        CausalityError: if scores are missing, or there is no edge or nothing but edges.
    """
    values = scores.values if isinstance(scores, ScoreMatrix) else np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise CausalityError(f"scores of shape {values.shape} are no matrix of ordered pairs; give [n, n]")
    names = scores.names if isinstance(scores, ScoreMatrix) else tuple(f"x{i}" for i in range(len(values)))
    compared = ~np.eye(len(names), dtype=bool)
    for pair in ignore:
        compared[_pair(pair, names)] = False
    labels, given = as_truth(truth, names)[compared], values[compared]
    if not np.isfinite(given).all():
        raise CausalityError(f"{int((~np.isfinite(given)).sum())} compared pairs have no finite score")
    if labels.all() or not labels.any():
        raise CausalityError(
            f"{int(labels.sum())} of {len(labels)} compared pairs are true edges; AUROC needs edges and others"
        )
    return Evaluation(auroc(given, labels), aupr(given, labels), int(labels.sum()), len(labels))
