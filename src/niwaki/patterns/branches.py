"""Parts of a search that are still to be done, cut small enough to be dealt out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """A part of the search that is still to be done: what extends a path by items of a certain stretch.

    Args:
        path: the items by which the pattern was reached.
        after: the last item that has been dealt with there, -1 for none.
        until: the last item that belongs to this part, -1 where all later ones do.
        share: of the whole search, by estimate.
        most: no more patterns than this are in it.
    """

    path: tuple[int, ...] = ()
    after: int = -1
    until: int = -1
    share: float = 1.0
    most: int = 0


@dataclass(frozen=True)
class Stretch:
    """The candidates that are left at one depth.

    Args:
        items: all candidates from the next on, rising; a pattern that takes one can take all later ones.
        count: the first so many of them are to be dealt with here.
        path: the items on the way here.
        after: the item before the first.
        size: how many items a pattern may still take; ``None`` for any number.
    """

    items: Sequence[int]
    count: int
    path: tuple[int, ...]
    after: int
    size: int | None

    def pieces(self, share: float, grain: float) -> list[Branch]:
        """This stretch, in pieces that are estimated at no more than a grain, or at one candidate."""
        whole, width = weight(len(self.items), self.count), len(self.items)
        found, first, after = [], 0, self.after
        for place in range(self.count):
            part = share * (weight(width - first, place + 1 - first) / whole)
            is_last = place + 1 == self.count
            if not is_last and part + share * (width - place - 1) / whole <= grain:
                continue  # the next one fits in, too
            is_open = is_last and self.count == width
            most = _most(width - first, self.size) - _most(width - place - 1, self.size)
            found.append(Branch(self.path, after, -1 if is_open else self.items[place], part, most))
            first, after = place + 1, self.items[place]
        return found


def weight(width: int, count: int) -> int:
    """How much there is in the first of some candidates: each can be extended by those after it."""
    return (width * (width + 1) - (width - count) * (width - count + 1)) // 2


def _most(candidates: int, size: int | None) -> int:
    """How many patterns so many candidates can form."""
    if size is None:
        return (1 << candidates) - 1
    return sum(math.comb(candidates, count) for count in range(1, size + 1))
