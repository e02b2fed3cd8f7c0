"""Scores of all ordered pairs of variables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .embedding import Standardise, check_counts, standardised
from .errors import CausalityError
from .frame import Floats, Table, as_table, is_constant, remarks
from .index import Index
from .interventional import InterventionalEntropy
from .surrogates import Surrogate, surrogate_maker
from .workers import spread


@dataclass(frozen=True)
class ScoreMatrix:
    """Scores of all ordered pairs.

    Args:
        names: of the variables.
        values: ``[n, n]``; row = cause, column = effect; NaN on the diagonal.
        method: the index with its settings.
        standardise: how the series were rescaled before.
        null: scores of the surrogates, ``[surrogates, n, n]``; empty where none were asked.
        notes: what in the data limits the conclusions.
    """

    names: tuple[str, ...]
    values: Floats
    method: Index
    standardise: Standardise
    null: Floats
    notes: tuple[str, ...] = ()

    def score(self, source: str, target: str) -> float:
        """The score of ``source -> target``.

        Raises:
            CausalityError: if there is no such variable.
        """
        for name in (source, target):
            if name not in self.names:
                raise CausalityError(f"there is no variable {name!r}; the names are {', '.join(self.names)}")
        return float(self.values[self.names.index(source), self.names.index(target)])


@dataclass(frozen=True)
class Surrogates:
    """How surrogates of the causes are made.

    Args:
        count: how many; 0 for none.
        kind: ``"shift"`` or ``"iaaft"``.
        min_shift: the least shift; ten time windows and a step by default.
        seed: of the random numbers.
    """

    count: int = 0
    kind: Surrogate = "shift"
    min_shift: int | None = None
    seed: int = 0

    def maker(self, length: int, window: int) -> Callable[[Floats, int], Floats]:
        """A function of a series and a number: that surrogate of the series."""
        least = 10 * window + 1 if self.min_shift is None else self.min_shift
        return surrogate_maker(length, self.kind, self.count, least, self.seed)


def score_matrix(
    frame: Any,
    method: Index | None = None,
    *,
    standardise: Standardise = "zscore",
    surrogates: Surrogates | int = 0,
    n_jobs: int | None = None,
) -> ScoreMatrix:
    """Every ordered pair's score, the neighbours of each effect searched once for all its causes.

    Args:
        frame: a matrix ``[T, variables]``, a data frame of pandas or polars, or a dict of columns, in which a block
            ``[T, d]`` is one vector variable.
        method: the index; `InterventionalEntropy` by default.
        standardise: how each component is rescaled first. Unlike `interventional_embedding_entropy`, which follows the
            authors' program, a frame is z-scored by default: its columns rarely share a unit.
        surrogates: how many, or how, surrogates of the causes are scored as well.
        n_jobs: workers; ``None`` leaves it to `joblib.parallel_config`. The result does not depend on it.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.random(400)
    >>> y = np.convolve(x, [0, 0.5, 0.2])[:400] + 0.1 * rng.random(400)
    >>> scores = score_matrix({"x": x, "y": y})
    >>> scores.score("x", "y") > scores.score("y", "x")
    True
    """
    table = as_table(frame)
    method = InterventionalEntropy() if method is None else method
    how = Surrogates(surrogates) if isinstance(surrogates, int) else surrogates
    check_counts(surrogates=(how.count, 0))
    method.check(table.length)
    if how.count:
        how.maker(table.length, method.window)  # so that what is wrong is said before the work begins
    scaled = Table(table.names, tuple(standardised(block, standardise) for block in table.series))
    size = len(table.names)
    columns = spread(_column, [(scaled, method, how, effect) for effect in range(size)], n_jobs)
    every = np.stack(columns, axis=2)
    return ScoreMatrix(table.names, every[0], method, standardise, every[1:], remarks(table))


def _column(table: Table, method: Index, how: Surrogates, effect: int) -> Floats:
    """Scores ``[1 + surrogates, n]`` of all causes of one effect."""
    found = np.zeros((1 + how.count, len(table.names)))
    found[:, effect] = np.nan
    if is_constant(table.series[effect]):
        return found
    causes = [i for i, block in enumerate(table.series) if i != effect and not is_constant(block)]
    if not causes:
        return found
    scores = method.prepare(table.series[effect])
    found[0, causes] = scores([table.series[i] for i in causes])
    if how.count:
        copy = how.maker(table.length, method.window)
        for number in range(how.count):
            found[1 + number, causes] = scores([copy(table.series[i], number) for i in causes])
    return found
