"""Significant patterns the slow way, from the definitions: every subset, every sample, exact fractions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

Table = list[tuple[int, ...]]


@dataclass(frozen=True)
class Tested:
    """A pattern and its test."""

    items: tuple[int, ...]
    samples: frozenset[int]
    statistic: Fraction
    p: float
    least_p: float


def tail(statistic: Fraction) -> float:
    return math.erfc(math.sqrt(statistic / 2))


def statistic(samples: Iterable[int], labels: list[int], strata: list[int]) -> Fraction:
    """Cochran's statistic from the 2 x 2 tables, each written out."""
    held = set(samples)
    difference = variance = Fraction(0)
    for level in sorted(set(strata)):
        here = [i for i, c in enumerate(strata) if c == level]
        n, n1 = len(here), sum(labels[i] for i in here)
        x = sum(i in held for i in here)
        a = sum(labels[i] for i in here if i in held)
        difference += a - Fraction(n1 * x, n)
        variance += Fraction(n1 * (n - n1) * x * (n - x), n**3)
    return difference**2 / variance if variance else Fraction(0)


def best_statistic(samples: Iterable[int], labels: list[int], strata: list[int]) -> Fraction:
    """The greatest statistic over all labels with the same numbers of ones in each stratum.

    Only how many of the samples held get a one matters; every number that is possible is tried.
    """
    held = set(samples)
    most = Fraction(0)
    options = [0]
    expected = variance = Fraction(0)
    for level in sorted(set(strata)):
        here = [i for i, c in enumerate(strata) if c == level]
        n, n1 = len(here), sum(labels[i] for i in here)
        x = sum(i in held for i in here)
        possible = range(max(0, x - (n - n1)), min(x, n1) + 1)
        options = sorted({total + a for total in options for a in possible})
        expected += Fraction(n1 * x, n)
        variance += Fraction(n1 * (n - n1) * x * (n - x), n**3)
    if variance:
        most = max((total - expected) ** 2 / variance for total in options)
    return most


def _holders(table: Table, items: Iterable[int]) -> frozenset[int]:
    return frozenset(i for i, row in enumerate(table) if all(row[j] for j in items))


def _useful(table: Table) -> list[int]:
    return [j for j in range(len(table[0])) if 0 < sum(row[j] for row in table) < len(table)]


def closed(table: Table, min_support: int = 1) -> dict[frozenset[int], tuple[int, ...]]:
    """Every set of samples that some pattern holds in, and the longest that does. Constant items are no items."""
    items, found = _useful(table), {}
    for size in range(1, len(items) + 1):
        for chosen in combinations(items, size):
            samples = _holders(table, chosen)
            if len(samples) >= min_support:
                found[samples] = tuple(j for j in items if all(table[i][j] for i in samples))
    return found


def minimal(table: Table, max_size: int, min_support: int = 1) -> list[tuple[frozenset[int], tuple[int, ...]]]:
    """Patterns up to a size that hold in fewer samples than each of their parts."""
    items, found = _useful(table), []
    for size in range(1, max_size + 1):
        for chosen in combinations(items, size):
            samples = _holders(table, chosen)
            parts = [[j for j in chosen if j != left_out] for left_out in chosen]
            if len(samples) >= min_support and all(_holders(table, part) != samples for part in parts):
                found.append((samples, chosen))
    return found


def tested(
    table: Table, labels: list[int], strata: list[int], max_size: int | None = None, min_support: int = 1
) -> list[Tested]:
    """All hypotheses with their p-values."""
    if max_size is None:
        pairs = [(s, items) for s, items in closed(table, min_support).items() if s]
    else:
        pairs = [(s, items) for s, items in minimal(table, max_size, min_support) if s]
    found = []
    for samples, items in pairs:
        own, best = statistic(samples, labels, strata), best_statistic(samples, labels, strata)
        found.append(Tested(items, samples, own, tail(own), tail(best)))
    return found


def exact_rule(patterns: list[Tested], alpha: float) -> tuple[int, set[tuple[int, ...]]]:
    """The smallest K with at most K patterns that can reach alpha / K; those that do."""
    K = 1
    while sum(t.least_p <= alpha / K for t in patterns) > K:
        K += 1
    return K, {t.items for t in patterns if t.p <= alpha / K}


def grid_rule(patterns: list[Tested], alpha: float, *, strict: bool) -> tuple[float, int, set[tuple[int, ...]]]:
    """The first threshold of the grid that keeps the bound, the number of patterns it has, and those found."""
    for step in range(501):
        delta = 10 ** (-0.06 * step)
        count = sum(t.least_p <= delta for t in patterns)
        if count * delta <= alpha:
            break
    if not count:
        return delta, 0, set()
    found = {t.items for t in patterns if t.p <= alpha / count and (t.least_p <= delta or not strict)}
    return delta, count, found
