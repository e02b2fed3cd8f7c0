"""What is searched for, and by which rule it counts as significant."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Literal, get_args

from .errors import PatternError

Rule = Literal["exact", "grid", "reference"]
Passes = Literal["one", "two"]


@dataclass(frozen=True)
class Search:
    """The settings of a search.

    Args:
        alpha: bound on the probability that anything at all is reported although nothing is there.
        rule: how the threshold is found. ``"exact"`` (LAMP): the smallest ``K`` such that at most ``K`` patterns can
            reach ``p <= alpha / K``. ``"grid"``: the largest threshold on the grid ``10^(-0.06 i)`` that keeps the
            bound. ``"reference"``: the same grid, but every pattern with ``p <= alpha / m`` is reported, as the
            authors' program does, although some of them were not counted in ``m``; its bound may exceed ``alpha``.
        passes: ``"one"`` collects while the threshold is still falling and filters in the end; ``"two"`` finds the
            threshold first and collects in a second search, which needs less memory. The result is the same.
        max_size: the most items of a pattern. Without it the closed patterns are searched: one, the longest, for each
            set of samples. With it, the minimal ones: those that would hold in more samples without any of their items.
        min_support: the fewest samples that hold a pattern.
        permutations: labels are shuffled this often within the strata and the threshold is taken from the smallest
            p-values found (Westfall-Young), in place of ``rule``. 0 = not at all; 10,000 is usual.
        seed: of the shuffles.
        confidence: of the intervals of the odds ratios.

    Raises:
        PatternError: if a setting is outside its range.

    >>> Search(alpha=0.01).rule
    'exact'
    """

    alpha: float = 0.05
    rule: Rule = "exact"
    passes: Passes = "one"
    max_size: int | None = None
    min_support: int = 1
    permutations: int = 0
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        for name in ("alpha", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise PatternError(f"{name}={getattr(self, name)!r} is outside (0, 1)")
        for name, choices in (("rule", get_args(Rule)), ("passes", get_args(Passes))):
            if getattr(self, name) not in choices:
                raise PatternError(f"{name}={getattr(self, name)!r} is unknown; choose from {', '.join(choices)}")
        for name, least in (("max_size", 1), ("min_support", 1), ("permutations", 0), ("seed", 0)):
            _check_count(name, getattr(self, name), least)
        if 0 < self.permutations and (self.permutations + 1) * self.alpha < 1:
            raise PatternError(
                f"{self.permutations} permutations cannot show anything at alpha={self.alpha}; "
                f"take at least {math.ceil(1 / self.alpha - 1e-9) - 1}, better 10,000"
            )


def _check_count(name: str, value: int | None, least: int) -> None:
    if value is None and name == "max_size":
        return
    try:
        is_count = operator.index(value) >= least  # type: ignore[arg-type]  # what is no integer is told so below
    except TypeError:
        is_count = False
    if not is_count or isinstance(value, bool):
        raise PatternError(f"{name}={value!r} is not a whole number of at least {least}")
