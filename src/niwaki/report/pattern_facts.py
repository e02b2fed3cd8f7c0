"""What the page about patterns is made from: plain numbers and names, whoever found them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Found:
    """One significant pattern: its items, how many samples hold them all, and how many of these are of class 1."""

    items: tuple[str, ...]
    support: int
    cases: int
    p: float
    odds_ratio: float
    low: float
    high: float
    q: float
    adjusted: float | None = None

    @property
    def words(self) -> str:
        """The items in a line."""
        return " & ".join(self.items)

    @property
    def strength(self) -> float:
        """Minus the decimal logarithm of the p-value; 320 where that is too small to be written."""
        return -math.log10(self.p) if self.p > 0 else 320.0


@dataclass(frozen=True)
class Stratum:
    """A level of the covariate: samples, and those of class 1."""

    name: str
    samples: int
    cases: int


@dataclass(frozen=True)
class Quantiles:
    """P-values of one test beside those expected if nothing were there, both as minus their decimal logarithm."""

    name: str
    expected: Sequence[float]
    observed: Sequence[float]
    inflation: float


@dataclass(frozen=True)
class PatternFacts:
    """A search and what it found, best first.

    Args:
        title: what the data are called.
        positive: class 1 in words, as in ``income is >50K``.
        covariate: what the samples are stratified by; nothing if by nothing.
        samples: how many.
        items: how many.
        strata: the levels of the covariate.
        alpha: bound on the probability of any false finding.
        level: the p-value below which a testable pattern is significant.
        testable: how many patterns are testable.
        complete: whether the search came to its end.
        patterns: those found.
        way: how the threshold was found, in words.
        quantiles: for the inflation plot.
        notes: what was decided about the data.
        left_out: what is no item, and why.
        command: how this was made.
    """

    title: str
    positive: str
    covariate: str
    samples: int
    items: int
    strata: Sequence[Stratum]
    alpha: float
    level: float
    testable: int
    complete: bool
    patterns: Sequence[Found]
    way: str = ""
    quantiles: Sequence[Quantiles] = ()
    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
