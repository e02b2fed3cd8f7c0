"""The search itself, depth first over the closed (or minimal) patterns, compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import state
from .bounds_compiled import reaches
from .compiling import compiled, popcount
from .findings import Floats, Ints
from .layout import Layout, Words
from .state import Shuffles, Stack, Tally
from .tally_compiled import count


@compiled
def _overlap(row: Words, where: NDArray[np.int32], words: Words, cells: Ints, x: Floats) -> int:
    """How many samples of a pattern hold a row's item, by stratum and in all."""
    total = 0
    if cells[-1] == len(words):  # all words are there: side by side they are counted faster
        for j in range(len(x)):
            found = 0
            for q in range(cells[2 * j], cells[2 * j + 2]):
                found += popcount(words[q] & row[q])
            x[j] = found
            total += found
        return total
    for j in range(len(x)):
        found = 0
        for q in range(cells[2 * j], cells[2 * j + 2]):
            found += popcount(words[q] & row[where[q]])
        x[j] = found
        total += found
    return total


@compiled
def _descend(layout: Layout, stack: Stack, depth: int, row: Words) -> int:
    """Put the samples of the pattern at a depth that hold a row's item on the next depth, without the empty words."""
    index, words, cells, counts = stack.where, stack.words, stack.cells, stack.counts
    top = total = 0
    for c in range(len(counts)):
        found = 0
        cells[depth + 1, c] = top
        for q in range(cells[depth, c], cells[depth, c + 1]):
            word = words[depth, q] & row[index[depth, q]]
            if word:
                index[depth + 1, top] = index[depth, q]
                words[depth + 1, top] = word
                found += popcount(word)
                top += 1
        counts[c] = found
        total += found
    cells[depth + 1, len(counts)] = top
    for j in range(len(layout.sizes)):
        stack.margins[0, j] = counts[2 * j] + counts[2 * j + 1]
    return total


@compiled
def _is_covered(bits: Words, where: NDArray[np.int32], words: Words, gone: NDArray[np.int32]) -> bool:
    """Whether all samples of a pattern hold one of the items that were dealt with before, the most frequent first."""
    for i in range(len(gone) - 1, -1, -1):
        item, is_within = gone[i], True
        for q in range(len(words)):
            if words[q] & ~bits[item, where[q]]:
                is_within = False
                break
        if is_within:
            return True
    return False


@compiled
def _is_minimal(layout: Layout, stack: Stack, total: int, size: int) -> bool:
    """Whether each of the first ``size`` members takes samples away from the others; all of them hold in ``total``."""
    for left_out in range(size):
        found = 0
        for w in range(len(layout.full)):
            word = layout.full[w]
            for i in range(size):
                if i != left_out:
                    word &= layout.bits[stack.members[i], w]
            found += popcount(word)
        if found == total:
            return False
    return True


@compiled
def _extend(layout: Layout, stack: Stack, tally: Tally, depth: int, total: int) -> int:
    """Candidates and members of the pattern on the next depth; how many members it has."""
    span, items, x = stack.span, stack.items, stack.margins[1]
    closed, limit = tally.flags[state.CLOSED], tally.flags[state.SIZE]
    where, words, cells = stack.where[depth + 1], stack.words[depth + 1], stack.cells[depth + 1]
    size: int = span[depth + 1, 4]
    top = span[depth, 2]
    span[depth + 1, 0] = span[depth + 1, 1] = top
    for place in range(span[depth, 1], span[depth, 2]):
        if not closed and size == limit:
            break
        item = items[place]
        found = _overlap(layout.bits[item], where, words, cells, x)
        if found == total:
            if closed:
                stack.members[size] = item
                size += 1
        elif found >= tally.flags[state.SUPPORT]:
            if reaches(x, layout.sizes, layout.ones, tally.values[state.LEAST], stack.margins[2:]):
                items[top] = item
                top += 1
    span[depth + 1, 2] = span[depth + 1, 5] = top
    return size


@compiled
def visit(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles) -> bool:
    """Take the next candidate of the current depth; whether there is a deeper one to go on with."""
    depth, span = stack.place[0], stack.span
    place = span[depth, 1]
    item = stack.items[place]
    span[depth, 1] = place + 1
    gone, size = span[depth, 3] + place - span[depth, 0], span[depth, 4]
    if gone > span[depth, 3]:  # the sibling before has been dealt with; its own children wrote over its place
        stack.gone[gone - 1] = stack.items[place - 1]
    tally.numbers[state.VISITED] += 1
    total = _descend(layout, stack, depth, layout.bits[item])
    if not reaches(stack.margins[0], layout.sizes, layout.ones, tally.values[state.LEAST], stack.margins[2:]):
        return False
    if tally.flags[state.CLOSED]:
        filled = stack.cells[depth + 1, -1]
        where, words = stack.where[depth + 1, :filled], stack.words[depth + 1, :filled]
        if _is_covered(layout.bits, where, words, stack.gone[:gone]):
            return False
    stack.members[size] = item
    if not tally.flags[state.CLOSED] and not _is_minimal(layout, stack, total, size + 1):
        return False
    span[depth + 1, 3], span[depth + 1, 4] = gone, size + 1
    size = _extend(layout, stack, tally, depth, total)
    span[depth + 1, 4] = size
    stack.entered[depth + 1] = item
    count(layout, stack, tally, shuffles, depth + 1, size)
    return bool(span[depth + 1, 2] > span[depth + 1, 0])


@compiled
def run(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, budget: int) -> int:
    """Go on with a search for so many patterns; says why it stopped."""
    width, numbers = len(layout.bits), tally.numbers
    for _ in range(budget):
        depth = stack.place[0]
        while depth >= 0 and stack.span[depth, 1] == stack.span[depth, 5]:
            depth -= 1
        stack.place[0] = depth
        if depth < 0:
            return state.FINISHED
        if depth + 1 == len(stack.words) or stack.span[depth, 2] + width > len(stack.items):
            return state.STACK_FULL
        if numbers[state.LOGGED] == tally.best.shape[1] or numbers[state.KEPT] == len(tally.ends):
            return state.TALLY_FULL
        if numbers[state.MEMBERS] + width > len(tally.members):
            return state.TALLY_FULL
        if visit(layout, stack, tally, shuffles):
            stack.place[0] = depth + 1
    return state.PAUSED
