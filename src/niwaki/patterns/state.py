"""The memory of a search: where it stands, what it has counted, what it has kept."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .findings import Floats, Ints
from .layout import Words

# What the search does with a testable pattern.
CLIMB, COLLECT, SHUFFLE = 0, 1, 2
# Why a search stopped.
FINISHED, PAUSED, STACK_FULL, TALLY_FULL = range(4)
# Where the numbers stand.
RUNG, TESTABLE, VISITED, LOGGED, KEPT, MEMBERS, WAITING = range(7)
ALPHA, LEAST, KEEP, DELTA = range(4)
MODE, EXACT, LOG, SUPPORT, SIZE, CLOSED, RANK = range(7)
# Bounds and statistics are sums of the same terms in different orders; rounding must not cut off what is equal.
SLACK = 1.0 - 1e-9


class Stack(NamedTuple):
    """Where a search stands; one entry a depth, so that memory follows the depth and not the number of patterns.

    Args:
        where: the words in which a pattern has samples, ``[depth, words]``.
        words: these words.
        cells: where the cells begin among them, ``[depth, 2 * strata + 1]``.
        items: the candidates of all depths, one after the other.
        span: first, next and end of the candidates of a depth; how many earlier siblings and members came before; and
            where this search stops among the candidates, as later ones are another's: ``[depth, 6]``.
        gone: items that were dealt with before, on the way to here.
        members: items of the pattern.
        entered: the item by which each depth was entered.
        place: the current depth, -1 at the end, ``[1]``.
        margins: work space, ``[5, strata]``.
        counts: work space, ``[2 * strata]``.
    """

    where: NDArray[np.int32]
    words: Words
    cells: Ints
    items: NDArray[np.int32]
    span: Ints
    gone: NDArray[np.int32]
    members: NDArray[np.int32]
    entered: NDArray[np.int32]
    place: Ints
    margins: Floats
    counts: Ints


class Tally(NamedTuple):
    """What was counted and kept.

    Args:
        histogram: patterns by rung.
        numbers: counters, see the names above.
        values: alpha, the least statistic still wanted, the least to be kept, and the threshold that belongs to it.
        flags: how to search.
        best: of every testable pattern the greatest statistic, its own and the one without strata, ``[3, log]``.
        kept: its greatest statistic and its own, for patterns that may be significant, ``[2, kept]``.
        cells: their samples in each cell, ``[kept, 2 * strata]``.
        ends: where their members end.
        members: these as columns of the table, ascending within each pattern.
    """

    histogram: Ints
    numbers: Ints
    values: Floats
    flags: Ints
    best: Floats
    kept: Floats
    cells: NDArray[np.int32]
    ends: Ints
    members: NDArray[np.int32]


class Shuffles(NamedTuple):
    """Shuffled labels.

    Args:
        masks: the samples that are given label 1, ``[words, shuffles]``.
        best: the greatest statistic seen under each.
        found: work space.
    """

    masks: Words
    best: Floats
    found: Ints
