"""Counting a pattern: Tarone's ladder, shuffled labels, and what is kept; compiled."""

from __future__ import annotations

import math

import numpy as np

from . import ladder, state
from .bounds_compiled import best_statistic, pooled_statistic, statistic
from .compiling import compiled, popcount
from .findings import Ints
from .layout import Layout
from .state import Shuffles, Stack, Tally

_capacity = compiled(ladder.capacity)
_rung_of = compiled(ladder.rung_of)
_PATIENCE = 64


@compiled
def _upper(p: float, start: float) -> float:
    """The statistic whose p-value is ``p``, by Newton's method on the logarithm of the tail."""
    s = math.sqrt(max(start, 0.02) / 2.0)
    for _ in range(60):
        tail = math.erfc(s)
        step = (math.log(tail) - math.log(p)) * tail * 0.886226925452758 * math.exp(s * s)
        s += step
        if abs(step) < 1e-14 * s:
            break
    return 2.0 * s * s


@compiled
def _climb(tally: Tally, best: float) -> bool:
    """Count a pattern on its rung and lower the threshold as far as Tarone's rule asks; whether it is testable."""
    numbers, values = tally.numbers, tally.values
    exact, alpha = tally.flags[state.EXACT] == 1, values[state.ALPHA]
    rung = _rung_of(math.erfc(math.sqrt(best / 2.0)), exact, alpha)
    if rung < numbers[state.RUNG]:
        return False
    tally.histogram[rung] += 1
    numbers[state.TESTABLE] += 1
    last, count = numbers[state.RUNG], numbers[state.TESTABLE]
    while count > _capacity(last, exact, alpha) and last < len(tally.histogram) - 1:
        count -= tally.histogram[last]
        last += 1
    numbers[state.RUNG], numbers[state.TESTABLE] = last, count
    delta = alpha / _capacity(last, exact, alpha)
    # A threshold that is a little too high is safe and spares the logarithms.
    if delta < 0.99 * values[state.DELTA]:
        values[state.DELTA] = delta
        values[state.LEAST] = _upper(delta, values[state.LEAST]) * state.SLACK
        if exact:
            values[state.KEEP] = values[state.LEAST]
    return bool(rung >= last)


@compiled
def _shuffle(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, depth: int) -> None:
    """Note the statistic of a pattern under every shuffle, and now and then the threshold that follows."""
    best, found = shuffles.best, shuffles.found
    x, sizes, ones = stack.margins[0], layout.sizes, layout.ones
    found[:] = 0
    for q in range(stack.cells[depth, -1]):
        word = stack.words[depth, q]
        if word:
            row = shuffles.masks[stack.where[depth, q]]
            for i in range(len(found)):
                found[i] += popcount(word & row[i])
    expected = variance = 0.0
    for j in range(len(x)):
        share = ones[j] / sizes[j]
        expected += share * x[j]
        variance += share * (1.0 - share) * x[j] * (1.0 - x[j] / sizes[j])
    if variance > 0.0:
        for i in range(len(found)):
            best[i] = max(best[i], (found[i] - expected) * (found[i] - expected) / variance)
    tally.numbers[state.WAITING] += 1
    if tally.numbers[state.WAITING] >= _PATIENCE:
        tally.numbers[state.WAITING] = 0
        rank = tally.flags[state.RANK]
        tally.values[state.LEAST] = np.partition(best, len(best) - rank)[len(best) - rank] * state.SLACK
        tally.values[state.KEEP] = tally.values[state.LEAST]


@compiled
def _keep(tally: Tally, best: float, own: float, counts: Ints, members: Ints) -> None:
    numbers = tally.numbers
    row, end = numbers[state.KEPT], numbers[state.MEMBERS]
    tally.kept[0, row] = best
    tally.kept[1, row] = own
    for i in range(len(counts)):
        tally.cells[row, i] = counts[i]
    for i in range(len(members)):  # sorted by hand: they are few
        place = end + i
        while place > end and tally.members[place - 1] > members[i]:
            tally.members[place] = tally.members[place - 1]
            place -= 1
        tally.members[place] = members[i]
    numbers[state.KEPT] += 1
    numbers[state.MEMBERS] += len(members)
    tally.ends[row] = numbers[state.MEMBERS]


@compiled
def count(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, depth: int, size: int) -> None:
    """Count the pattern at a depth, if it is testable, and keep it if it may be significant."""
    x, counts, sizes, ones = stack.margins[0], stack.counts, layout.sizes, layout.ones
    best = best_statistic(x, sizes, ones)
    if best < tally.values[state.LEAST]:
        return
    mode = tally.flags[state.MODE]
    if mode == state.CLIMB:
        if not _climb(tally, best):
            return
    else:
        tally.numbers[state.TESTABLE] += 1
    if mode == state.SHUFFLE:
        _shuffle(layout, stack, tally, shuffles, depth)
    if not tally.flags[state.LOG]:
        return
    own = statistic(float(counts[::2].sum()), x, sizes, ones)
    row = tally.numbers[state.LOGGED]
    tally.best[0, row] = best
    tally.best[1, row] = own
    tally.best[2, row] = pooled_statistic(counts, sizes, ones)
    tally.numbers[state.LOGGED] += 1
    if own >= tally.values[state.KEEP]:
        _keep(tally, best, own, counts, layout.columns[stack.members[:size]])
