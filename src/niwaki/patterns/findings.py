"""What a search has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import Search

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """How far a search has come.

    Args:
        share: the share of the search that is done, from 0 to 1 within each pass; it never falls within a pass.
        threshold: the current threshold of the attainable p-values; it only falls.
        testable: how many patterns below it have been counted so far.
        visited: how many patterns were looked at.
        stage: ``"search"`` while the threshold is sought, ``"collect"`` in a second pass.
    """

    share: float
    threshold: float
    testable: int
    visited: int
    stage: str = "search"


@dataclass(frozen=True)
class Pattern:
    """One significant pattern: the samples that hold all its items are unlike the others of their strata.

    Args:
        items: the columns, ascending.
        support: how many samples hold them all; ``cases`` of these have label 1.
        cases: how many samples of label 1 hold them all.
        strata_support: the support in each stratum.
        strata_cases: the cases in each stratum.
        statistic: of Cochran, Mantel and Haenszel, without continuity correction.
        p: its p-value (chi-squared, one degree of freedom).
        least_p: the smallest p-value that any labels with the same margins could give.
        odds_ratio: of Mantel and Haenszel; above 1, label 1 is more frequent where the pattern holds.
        low: lower end of its confidence interval.
        high: upper end.
        q: the false discovery rate among the testable patterns (Benjamini-Hochberg) at which this one is found.
        adjusted: the family-wise p-value by Westfall and Young; ``None`` without permutations.
    """

    items: tuple[int, ...]
    support: int
    cases: int
    strata_support: tuple[int, ...]
    strata_cases: tuple[int, ...]
    statistic: float
    p: float
    least_p: float
    odds_ratio: float
    low: float
    high: float
    q: float
    adjusted: float | None = None


@dataclass(frozen=True, eq=False)
class Findings:
    """The significant patterns by p-value, and what the search learned on the way.

    A sequence of `Pattern`; the columns are arrays, one entry a pattern, since there may be many.

    Args:
        members: the items of all patterns, one pattern after the other, ascending within each.
        offsets: pattern ``i`` has the items ``members[offsets[i]:offsets[i + 1]]``.
        strata_support: samples that hold the pattern, ``[patterns, strata]``.
        strata_cases: those of label 1, ``[patterns, strata]``.
        statistic: of Cochran, Mantel and Haenszel.
        p: p-values.
        least_p: the smallest attainable p-values.
        odds_ratio: of Mantel and Haenszel.
        low: lower ends of their confidence intervals.
        high: upper ends.
        q: false discovery rates.
        adjusted: family-wise p-values by Westfall and Young; ``None`` without permutations.
        threshold: a pattern is testable if its least p-value is at most this.
        level: a testable pattern is significant if its p-value is at most this.
        testable: how many patterns are testable.
        inflation: median statistic of the testable patterns over that of the null; near 1 without confounding.
        inflation_pooled: the same for the test that ignores the strata.
        quantiles: of the testable patterns' statistics, for an inflation plot, ``[3, points]``: the p-value expected if
            nothing were there, the statistic, and that of the test that ignores the strata.
        complete: whether the search came to its end. If not, only patterns proven significant are listed, and
            ``threshold``, ``testable``, ``q`` and the inflations are ``nan`` or counts so far.
        search: the settings.
        samples: how many samples there were.
        strata: the levels of the covariate, in the order of the columns of ``strata_support``.
        strata_sizes: samples in each stratum.
        strata_labels: samples of label 1 in each stratum.
        visited: how many patterns were looked at; unlike all else it may vary with the number of workers.
    """

    members: Ints
    offsets: Ints
    strata_support: Ints
    strata_cases: Ints
    statistic: Floats
    p: Floats
    least_p: Floats
    odds_ratio: Floats
    low: Floats
    high: Floats
    q: Floats
    adjusted: Floats | None
    threshold: float
    level: float
    testable: int
    inflation: float
    inflation_pooled: float
    quantiles: Floats
    complete: bool
    search: Search
    samples: int
    strata: tuple[int, ...]
    strata_sizes: tuple[int, ...]
    strata_labels: tuple[int, ...]
    visited: int

    @property
    def support(self) -> Ints:
        """Samples that hold each pattern."""
        return np.asarray(self.strata_support.sum(axis=1))

    @property
    def cases(self) -> Ints:
        """Samples of label 1 that hold each pattern."""
        return np.asarray(self.strata_cases.sum(axis=1))

    @property
    def items(self) -> list[tuple[int, ...]]:
        """The items of every pattern."""
        flat, ends = self.members.tolist(), self.offsets.tolist()
        return [tuple(flat[start:end]) for start, end in zip(ends, ends[1:], strict=False)]

    def __len__(self) -> int:
        return len(self.p)

    def __getitem__(self, index: int) -> Pattern:
        index = range(len(self))[index]
        return Pattern(
            items=tuple(self.members[self.offsets[index] : self.offsets[index + 1]].tolist()),
            support=int(self.strata_support[index].sum()),
            cases=int(self.strata_cases[index].sum()),
            strata_support=tuple(self.strata_support[index].tolist()),
            strata_cases=tuple(self.strata_cases[index].tolist()),
            statistic=float(self.statistic[index]),
            p=float(self.p[index]),
            least_p=float(self.least_p[index]),
            odds_ratio=float(self.odds_ratio[index]),
            low=float(self.low[index]),
            high=float(self.high[index]),
            q=float(self.q[index]),
            adjusted=None if self.adjusted is None else float(self.adjusted[index]),
        )

    def __iter__(self) -> Iterator[Pattern]:
        return (self[index] for index in range(len(self)))
