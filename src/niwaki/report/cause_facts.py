"""What the page about causes is made from: plain numbers and names, whoever computed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .series import Array


@dataclass(frozen=True)
class RankedEdge:
    """An ordered pair with its score; p and q where surrogates were made, ``true`` where the truth is known."""

    source: str
    target: str
    score: float
    p: float | None = None
    q: float | None = None
    significant: bool | None = None
    true: bool | None = None

    @property
    def words(self) -> str:
        """The pair in a few signs."""
        return f"{self.source} → {self.target}"


@dataclass(frozen=True)
class Judged:
    """How well the scores rank true edges: areas under two curves, and the share of true edges among all pairs."""

    auroc: float
    aupr: float
    edges: int
    pairs: int


@dataclass(frozen=True, eq=False)
class CauseFacts:
    """Scores of all ordered pairs, best first.

    Args:
        title: what the data are called.
        names: of the variables.
        values: scores ``[n, n]``, row = cause; NaN on the diagonal.
        edges: every ordered pair that was scored, best first.
        length: time points.
        method: the index and its settings, in words.
        alpha: level of the test.
        test: how p-values were made and adjusted, in words; nothing without surrogates.
        judged: against the truth, if it is known.
        notes: what limits the conclusions.
        command: how this was made.
        complete: whether all pairs were scored.
    """

    title: str
    names: Sequence[str]
    values: Array
    edges: Sequence[RankedEdge]
    length: int
    method: str
    alpha: float
    test: str = ""
    judged: Judged | None = None
    notes: Sequence[str] = ()
    command: str = ""
    complete: bool = True

    @property
    def drawn(self) -> Sequence[RankedEdge]:
        """The edges worth a line: the significant ones; without a test, as many as are true or as there are names."""
        if self.test:
            return [edge for edge in self.edges if edge.significant]
        return self.edges[: self.judged.edges if self.judged else len(self.names)]
