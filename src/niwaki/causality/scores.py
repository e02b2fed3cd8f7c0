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
from .workers import Progress, spread


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
        complete: whether all pairs were scored; after Ctrl-C some effects are missing, and their columns NaN.
    """

    names: tuple[str, ...]
    values: Floats
    method: Index
    standardise: Standardise
    null: Floats
    notes: tuple[str, ...] = ()
    complete: bool = True

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

    def copies(self, table: Table, window: int) -> Callable[[int, int], Floats]:
        """A function of a number and a variable: that surrogate of the variable."""
        least = 10 * window + 1 if self.min_shift is None else self.min_shift
        made = surrogate_maker(table.length, self.kind, self.count, least, self.seed)
        if self.kind == "shift":
            return lambda number, variable: made(table.series[variable], number)
        # Dear to make, so that every effect meets the same ones; in few arrays, which processes can share.
        held = [np.stack([made(block, number) for number in range(self.count)]) for block in table.series]
        return lambda number, variable: held[variable][number]


def score_matrix(
    frame: Any,
    method: Index | None = None,
    *,
    standardise: Standardise = "zscore",
    surrogates: Surrogates | int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
    partial: bool = False,
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
        progress: called with the effects done and their number, as they come in.
        partial: after Ctrl-C hand back what is scored by then.

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
    scaled = Table(table.names, tuple(standardised(block, standardise) for block in table.series))
    copies = how.copies(scaled, method.window) if how.count else None
    tasks = [(scaled, method, effect, how.count, copies) for effect in range(len(table.names))]
    columns = spread(scores_of, tasks, n_jobs, progress, partial=partial)
    every = np.full((1 + how.count, len(tasks), len(tasks)), np.nan)
    every[:, :, : len(columns)] = np.stack(columns, axis=2)
    is_complete = len(columns) == len(tasks)
    return ScoreMatrix(table.names, every[0], method, standardise, every[1:], remarks(table), is_complete)


def scores_of(
    table: Table, method: Index, effect: int, surrogates: int, copies: Callable[[int, int], Floats] | None
) -> Floats:
    """Scores ``[1 + surrogates, n]`` of all causes of one effect, then those of their surrogates.

    Args:
        table: the rescaled series.
        method: the index.
        effect: position of the effect; its own entries are NaN.
        surrogates: how many.
        copies: a function of a number and a variable: that surrogate of the variable.
    """
    found = np.zeros((1 + surrogates, len(table.names)))
    found[:, effect] = np.nan
    if is_constant(table.series[effect]):
        return found
    causes = [i for i, block in enumerate(table.series) if i != effect and not is_constant(block)]
    if not causes:
        return found
    scores = method.prepare(table.series[effect])
    found[0, causes] = scores([table.series[i] for i in causes])
    if copies is not None:
        for number in range(surrogates):
            found[1 + number, causes] = scores([copies(number, i) for i in causes])
    return found
