"""What the page about patterns is made from: plain numbers and names, whoever found them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .readable import plain, times


def ratio_words(ratio: float) -> str:
    """An odds ratio as people read it.

    >>> ratio_words(2.5), ratio_words(math.inf)
    ('2.5×', 'infinite')
    """
    return "infinite" if math.isinf(ratio) else "unknown" if math.isnan(ratio) else times(ratio)


def range_words(low: float, high: float) -> str:
    """Its interval; nothing where there is none."""
    return f"{plain(low)} to {plain(high)}" if math.isfinite(high) else ""


@dataclass(frozen=True)
class Found:
    """One significant pattern: its items, how many samples hold them all, and how many of these are of class 1.

    ``strength`` is minus the decimal logarithm of the p-value, which is known also where that is too small to write.
    """

    items: tuple[str, ...]
    support: int
    cases: int
    p: float
    strength: float
    odds_ratio: float
    low: float
    high: float
    q: float | None
    adjusted: float | None = None

    @property
    def words(self) -> str:
        """The items in a line."""
        return " & ".join(self.items)

    @property
    def p_words(self) -> str:
        """The p-value as people read it."""
        return plain(self.p) if self.p > 1e-300 else f"1e\N{MINUS SIGN}{self.strength:.0f}"

    @property
    def ratio_words(self) -> str:
        """The odds ratio, which has no number where one class never or always holds the pattern."""
        return ratio_words(self.odds_ratio)

    @property
    def range_words(self) -> str:
        """The interval of the odds ratio; nothing where there is none."""
        return range_words(self.low, self.high)


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

    Of very many patterns the page needs only the surest and some of the others.

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
        patterns: those found, or the surest of them.
        count: how many were found.
        others: some of those that are not among ``patterns``.
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
    count: int
    others: Sequence[Found] = ()
    way: str = ""
    quantiles: Sequence[Quantiles] = ()
    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
