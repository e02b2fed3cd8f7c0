"""A causal network from a table of series, in the manner of scikit-learn."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np

from .embedding import Standardise, check_counts
from .errors import CausalityError
from .frame import Floats
from .index import Index
from .interventional import InterventionalEntropy
from .scores import ScoreMatrix, Surrogates, score_matrix
from .significance import benjamini_hochberg, max_statistic, p_values
from .surrogates import Surrogate
from .workers import Progress

Correction = Literal["fdr", "max"]


@dataclass(frozen=True)
class Edge:
    """One ordered pair of a network.

    Args:
        source: the cause.
        target: the effect.
        score: of the pair.
        p: its p value alone; NaN without surrogates.
        q: its p value adjusted for all pairs; NaN without surrogates.
        significant: whether ``q <= alpha``; ``None`` where there is no ``q``.
    """

    source: str
    target: str
    score: float
    p: float
    q: float
    significant: bool | None


class CausalNetwork:
    """Which variables act on which: scores of all ordered pairs, p values by surrogates, adjusted for all pairs.

    Args:
        method: the index; `InterventionalEntropy()` by default.
        standardise: how each component is rescaled first.
        surrogates: copies of each cause; 0 for scores alone.
        surrogate: how they are made, ``"shift"`` or ``"iaaft"``.
        min_shift: least shift; ten time windows and a step by default.
        alpha: level of the test.
        correction: ``"fdr"`` bounds the share of false edges (Benjamini and Hochberg), ``"max"`` the chance of any
            (largest studentised score of all pairs).
        seed: of the surrogates; the same seed gives the same network whatever the number of workers.
        n_jobs: workers; ``None`` leaves it to `joblib.parallel_config`.

    After `fit`: ``scores_`` (`ScoreMatrix`), ``p_`` and ``q_`` ``[n, n]``, ``edges_`` (every ordered pair, best first),
    ``notes_`` (what limits the conclusions), ``names_``, ``complete_`` (not so after Ctrl-C: then only the pairs
    scored by then are in it, and with ``"fdr"`` those called significant are so in the whole network, too).

    >>> rng = np.random.default_rng(0)
    >>> x = rng.random(400)
    >>> y = np.convolve(x, [0, 0.5, 0.2])[:400] + 0.1 * rng.random(400)
    >>> network = CausalNetwork(correction="max").fit({"x": x, "y": y})
    >>> [(edge.source, edge.target, edge.q) for edge in network.edges_ if edge.significant]
    [('x', 'y', 0.01)]
    """

    def __init__(
        self,
        method: Index | None = None,
        *,
        standardise: Standardise = "zscore",
        surrogates: int = 99,
        surrogate: Surrogate = "shift",
        min_shift: int | None = None,
        alpha: float = 0.05,
        correction: Correction = "fdr",
        seed: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.method: Any = method
        self.standardise = standardise
        self.surrogates = surrogates
        self.surrogate = surrogate
        self.min_shift = min_shift
        self.alpha = alpha
        self.correction = correction
        self.seed = seed
        self.n_jobs = n_jobs

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name; with ``deep``, those of the index as ``method__NAME``."""
        found = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if deep and is_dataclass(self.method):
            found |= {f"method__{field.name}": getattr(self.method, field.name) for field in fields(self.method)}
        return found

    def set_params(self, **params: Any) -> Self:
        """Change settings by name.

        Raises:
            CausalityError: if a name is unknown.
        """
        # The index first: settings of it belong to the new one.
        for name, value in sorted(params.items(), key=lambda item: item[0] != "method"):
            if name.startswith("method__") and self.method is None:
                self.method = InterventionalEntropy()
            known = self.get_params()
            if name not in known:
                raise CausalityError(f"there is no setting {name!r}; the names are {', '.join(known)}")
            if name.startswith("method__"):
                changed: Any = self.method
                self.method = replace(changed, **{name.removeprefix("method__"): value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.get_params(deep=False).items())
        return f"CausalNetwork({inner})"

    def _check(self) -> None:
        if self.correction not in get_args(Correction):
            raise CausalityError(
                f"correction={self.correction!r} is unknown; choose from {', '.join(get_args(Correction))}"
            )
        if not 0 < self.alpha < 1:
            raise CausalityError(f"alpha={self.alpha!r} is outside (0, 1)")
        check_counts(surrogates=(self.surrogates, 0))
        if self.surrogates and 1 / (1 + self.surrogates) > self.alpha:
            raise CausalityError(
                f"{self.surrogates} surrogates reach no p value below {1 / (1 + self.surrogates):.3g}, so nothing "
                f"could be significant at alpha={self.alpha:g}; ask for at least {int(np.ceil(1 / self.alpha)) - 1}"
            )

    def fit(self, X: Any, y: None = None, *, progress: Progress | None = None) -> Self:
        """Score and test every ordered pair.

        Args:
            X: a matrix ``[T, variables]``, a data frame of pandas or polars, or a dict of columns.
            y: nothing; scikit-learn hands it over.
            progress: called with the effects done and their number, as they come in. It may raise
                ``KeyboardInterrupt``, which does as Ctrl-C does.

        Raises:
            KeyboardInterrupt: after Ctrl-C before a single effect was scored.
        """  # noqa: DOC502 - it comes from below
        self._check()
        how = Surrogates(self.surrogates, self.surrogate, self.min_shift, self.seed)
        run: dict[str, Any] = {"n_jobs": self.n_jobs, "progress": progress, "partial": True}
        scores = score_matrix(X, self.method, standardise=self.standardise, surrogates=how, **run)
        blank = np.full(scores.values.shape, np.nan)
        self.p_: Floats = p_values(scores.values, scores.null) if self.surrogates else blank
        if self.surrogates and self.correction == "fdr":
            self.q_: Floats = benjamini_hochberg(self.p_, len(scores.names) * (len(scores.names) - 1))
        else:  # the largest score of all pairs is known only when all are
            is_known = self.surrogates > 0 and scores.complete
            self.q_ = max_statistic(scores.values, scores.null) if is_known else blank
        self.scores_: ScoreMatrix = scores
        self.names_: tuple[str, ...] = scores.names
        self.complete_: bool = scores.complete
        self.notes_: tuple[str, ...] = (*self._stopped(scores), *scores.notes, *self._reach(scores))
        self.edges_: tuple[Edge, ...] = self._edges(scores)
        return self

    def _stopped(self, scores: ScoreMatrix) -> tuple[str, ...]:
        """What is missing after Ctrl-C."""
        if scores.complete:
            return ()
        done = [name for name, column in zip(scores.names, scores.values.T, strict=True) if not np.isnan(column).all()]
        named = ", ".join(done[:5]) + (" ..." if len(done) > 5 else "")
        what = f"stopped early: only the causes of {len(done)} of {len(scores.names)} series were scored ({named})"
        if not self.surrogates:
            return (what,)
        if self.correction == "max":
            return (f"{what}; p values adjusted by the largest score of all pairs cannot be given",)
        return (f"{what}; p values are adjusted as if no other pair acted",)

    def _reach(self, scores: ScoreMatrix) -> tuple[str, ...]:
        """Whether a single edge could be found among so many pairs."""
        pairs = len(scores.names) * (len(scores.names) - 1)
        if not self.surrogates or self.correction == "max" or pairs / (1 + self.surrogates) <= self.alpha:
            return ()
        least = int(np.ceil(pairs / (1 + self.surrogates) / self.alpha))
        return (
            f"with {self.surrogates} surrogates and {pairs} pairs, fewer than {least} edges of the least p value are "
            "not enough for any to be significant; "
            f"{int(np.ceil(pairs / self.alpha)) - 1} surrogates would find a single one",
        )

    def _edges(self, scores: ScoreMatrix) -> tuple[Edge, ...]:
        size = len(scores.names)
        found = [
            Edge(
                scores.names[i],
                scores.names[j],
                float(scores.values[i, j]),
                float(self.p_[i, j]),
                float(self.q_[i, j]),
                None if np.isnan(self.q_[i, j]) else bool(self.q_[i, j] <= self.alpha),
            )
            for i in range(size)
            for j in range(size)
            if not np.isnan(scores.values[i, j])
        ]
        return tuple(sorted(found, key=lambda edge: -edge.score))  # equal scores stay in the order of the names
