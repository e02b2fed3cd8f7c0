"""Sharing a budget in proportion to weights, nobody above what it has: real shares, then whole units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


def capped(sizes: Sequence[int], weights: Sequence[float], total: float) -> float:
    r"""The factor that shares a total out in proportion, with every share capped at the whole.

    Solves :math:`\sum_l N_l \min(1, \varepsilon r_l) = T` for :math:`\varepsilon`. This is what the published iteration
    (make the layers with the highest :math:`r` dense while one exceeds 1, then solve for the rest) arrives at.

    Args:
        sizes: :math:`N_l`.
        weights: :math:`r_l`, positive.
        total: :math:`T`, at most the sum of the sizes.

    Returns:
        The factor; the share of layer ``l`` is ``min(1, factor * weights[l])``.

    Source: Mocanu et al. 2018 (Erdős-Rényi), Evci et al. 2020 (the kernel version and the capping).

    >>> capped([10, 100], [1.0, 0.1], 15.0)  # 10 * min(1, 0.75) + 100 * 0.075
    0.75
    """
    order = sorted(range(len(sizes)), key=lambda i: -weights[i])
    rest, mass = total, sum(n * w for n, w in zip(sizes, weights, strict=True))
    factor = rest / mass
    for i in order:
        if factor * weights[i] <= 1:
            break
        rest, mass = rest - sizes[i], mass - sizes[i] * weights[i]
        # Rounding can leave a little of either behind once everybody is full.
        factor = max(factor, rest / mass) if mass > 0 and rest > 0 else 1 / weights[i]
    return factor


@dataclass(frozen=True)
class Claim:
    """One party to the sharing: its units, its weight, the units it is granted first, and the size of one portion."""

    size: int
    weight: float
    floor: int = 0
    portion: int = 1

    def granted(self, portions: int) -> int:
        """Units in so many portions; the last portion may be smaller."""
        return min(portions * self.portion, self.size)

    def price(self, portions: int) -> float:
        """The factor at which the next portion is granted: where the real share reaches the middle of it."""
        return (self.granted(portions) + self.granted(portions + 1)) / 2 / (self.weight * self.size)

    def at(self, factor: float) -> int:
        """Portions granted at a factor."""
        first, last = -(-self.floor // self.portion), -(-self.size // self.portion)
        guess = round(min(factor * self.weight * self.size, self.size) / self.portion)
        portions = max(first, min(guess, last))
        # The guess is off by one at most; only `price` decides, so that larger totals always contain smaller ones.
        while portions < last and self.price(portions) <= factor:
            portions += 1
        while portions > first and self.price(portions - 1) > factor:
            portions -= 1
        return portions


def proportional(claims: Sequence[Claim], total: int) -> list[int]:
    """Whole units in proportion to ``weight * size``, capped, never more than the total.

    Every portion of every claim has a price, the factor at which its real share reaches the middle of that portion; the
    cheapest portions are granted, equal prices in the order of the claims, until the next one does not fit. So the
    result grows with the total in every claim (it nests), and with portions of one unit the total is met exactly.
    Without floors, caps and portions this is the apportionment of Sainte-Laguë 1910.

    Args:
        claims: who shares.
        total: the units to share out, at least the sum of the floors.

    Returns:
        The units of each claim.

    >>> proportional([Claim(10, 1.0), Claim(100, 0.1)], 15)  # 7.5 and 7.5: the first is served first
    [8, 7]
    """
    low, high = 0.0, max(c.price(-(-c.size // c.portion) - 1) for c in claims)

    def given(factor: float) -> int:
        return sum(c.granted(c.at(factor)) for c in claims)

    if given(high) <= total:
        return [c.size for c in claims]
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if given(middle) <= total else (low, middle)
    portions = [c.at(low) for c in claims]
    left = total - given(low)
    for i, claim in enumerate(claims):
        step = claim.granted(portions[i] + 1) - claim.granted(portions[i])
        if step and claim.price(portions[i]) <= high:
            if step > left:
                break
            portions[i], left = portions[i] + 1, left - step
    return [c.granted(p) for c, p in zip(claims, portions, strict=True)]
