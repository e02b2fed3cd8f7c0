"""The search without a compiler: the candidates of a pattern are weighed at once, as arrays."""

from __future__ import annotations

import numpy as np

from . import state
from .bounds import best_statistic, envelope, p_value, statistic, total, upper
from .findings import Floats, Ints
from .ladder import capacity, rung_of
from .layout import Layout, Words
from .state import Shuffles, Stack, Tally


def _by_part(words: Words, starts: Ints) -> Ints:
    """Samples in each part of rows of words; a part may be empty."""
    counts = np.zeros((*words.shape[:-1], len(starts) - 1), np.int64)
    some = np.flatnonzero(np.diff(starts))
    if len(some):
        counts[..., some] = np.add.reduceat(np.bitwise_count(words).astype(np.int64), starts[some], axis=-1)
    return counts


def _climb(tally: Tally, best: float) -> bool:
    numbers, values = tally.numbers, tally.values
    exact, alpha = bool(tally.flags[state.EXACT]), float(values[state.ALPHA])
    rung = rung_of(float(p_value(np.array(best))), exact, alpha)
    if rung < numbers[state.RUNG]:
        return False
    tally.histogram[rung] += 1
    numbers[state.TESTABLE] += 1
    before = last = int(numbers[state.RUNG])
    count = int(numbers[state.TESTABLE])
    while count > capacity(last, exact, alpha) and last < len(tally.histogram) - 1:
        count -= int(tally.histogram[last])
        last += 1
    numbers[state.RUNG], numbers[state.TESTABLE] = last, count
    if last > before:
        values[state.DELTA] = alpha / capacity(last, exact, alpha)
        values[state.LEAST] = upper(float(values[state.DELTA])) * state.SLACK
        if exact:
            values[state.KEEP] = values[state.LEAST]
    return rung >= last


def _shuffle(layout: Layout, tally: Tally, shuffles: Shuffles, words: Words, x: Floats) -> None:
    some = np.flatnonzero(words)
    found = np.bitwise_count(words[some, None] & shuffles.masks[some]).sum(axis=0, dtype=np.int64)
    share = layout.ones / layout.sizes
    expected, variance = total(share * x), total(share * (1 - share) * x * (1 - x / layout.sizes))
    if variance > 0:
        np.maximum(shuffles.best, (found - expected) * (found - expected) / variance, out=shuffles.best)
    rank = int(tally.flags[state.RANK])
    tally.values[state.LEAST] = tally.values[state.KEEP] = np.partition(shuffles.best, -rank)[-rank] * state.SLACK


def _pooled(layout: Layout, counts: Ints) -> float:
    sizes, ones = layout.sizes.sum(keepdims=True), layout.ones.sum(keepdims=True)
    return float(statistic(counts[::2].sum().astype(float), counts.sum(keepdims=True).astype(float), sizes, ones))


def _count(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, depth: int) -> None:
    counts = stack.counts
    x = (counts[::2] + counts[1::2]).astype(np.float64)
    numbers, best = tally.numbers, float(best_statistic(x, layout.sizes, layout.ones))
    if best < tally.values[state.LEAST]:
        return
    if tally.flags[state.MODE] == state.CLIMB:
        if not _climb(tally, best):
            return
    else:
        numbers[state.TESTABLE] += 1
    if tally.flags[state.MODE] == state.SHUFFLE:
        _shuffle(layout, tally, shuffles, stack.words[depth], x)
    if not tally.flags[state.LOG]:
        return
    own = float(statistic(counts[::2].sum().astype(float), x, layout.sizes, layout.ones))
    tally.best[:, numbers[state.LOGGED]] = best, own, _pooled(layout, counts)
    numbers[state.LOGGED] += 1
    if own >= tally.values[state.KEEP]:
        row, end, size = int(numbers[state.KEPT]), int(numbers[state.MEMBERS]), int(stack.span[depth, 4])
        tally.kept[:, row] = best, own
        tally.cells[row] = counts
        tally.members[end : end + size] = np.sort(layout.columns[stack.members[:size]])
        tally.ends[row] = end + size
        numbers[state.KEPT], numbers[state.MEMBERS] = row + 1, end + size


def _is_minimal(layout: Layout, members: Ints, words: Words) -> bool:
    for left_out in range(len(members)):
        others = np.delete(members, left_out)
        if np.array_equal(np.bitwise_and.reduce(layout.bits[others], axis=0) & layout.full, words):
            return False
    return True


def _extend(layout: Layout, stack: Stack, tally: Tally, depth: int, words: Words) -> None:
    span, flags = stack.span, tally.flags
    size, top = int(span[depth + 1, 4]), int(span[depth, 2])
    later = stack.items[span[depth, 1] : top]
    if not flags[state.CLOSED] and size == flags[state.SIZE]:
        later = later[:0]
    x = _by_part(words & layout.bits[later], layout.cells[::2])
    found, held = x.sum(axis=-1), int(stack.counts.sum())
    if flags[state.CLOSED]:
        same = later[found == held]
        stack.members[size : size + len(same)] = same
        span[depth + 1, 4] = size + len(same)
    goes_on = (found < held) & (found >= flags[state.SUPPORT])
    goes_on[goes_on] = envelope(x[goes_on].astype(np.float64), layout.sizes, layout.ones) >= tally.values[state.LEAST]
    left = later[goes_on]
    stack.items[top : top + len(left)] = left
    span[depth + 1, :3] = top, top, top + len(left)
    span[depth + 1, 5] = top + len(left)


def visit(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles) -> bool:
    """Take the next candidate of the current depth; whether there is a deeper one to go on with."""
    depth, span = int(stack.place[0]), stack.span
    first, place, _, before, size, _ = span[depth].tolist()
    item = int(stack.items[place])
    span[depth, 1] = place + 1
    gone = before + place - first
    stack.gone[before:gone] = stack.items[first:place]
    tally.numbers[state.VISITED] += 1
    words = stack.words[depth] & layout.bits[item]
    stack.words[depth + 1] = words
    stack.counts[:] = _by_part(words, layout.cells)
    x = (stack.counts[::2] + stack.counts[1::2]).astype(np.float64)
    if envelope(x, layout.sizes, layout.ones) < tally.values[state.LEAST]:
        return False
    stack.members[size] = item
    if tally.flags[state.CLOSED]:
        if not (words & ~layout.bits[stack.gone[:gone]]).any(axis=1).all():
            return False
    elif not _is_minimal(layout, stack.members[: size + 1].astype(np.int64), words):
        return False
    stack.entered[depth + 1] = item
    span[depth + 1, 3:5] = gone, size + 1
    _extend(layout, stack, tally, depth, words)
    _count(layout, stack, tally, shuffles, depth + 1)
    return bool(span[depth + 1, 2] > span[depth + 1, 0])


def run(layout: Layout, stack: Stack, tally: Tally, shuffles: Shuffles, budget: int) -> int:
    """Go on with a search for so many patterns; says why it stopped."""
    width, numbers = len(layout.bits), tally.numbers
    for _ in range(budget):
        depth = int(stack.place[0])
        while depth >= 0 and stack.span[depth, 1] == stack.span[depth, 5]:
            depth -= 1
        stack.place[0] = depth
        if depth < 0:
            return state.FINISHED
        if depth + 1 == len(stack.words) or stack.span[depth, 2] + width > len(stack.items):
            return state.STACK_FULL
        is_full = numbers[state.LOGGED] == tally.best.shape[1] or numbers[state.KEPT] == len(tally.ends)
        if is_full or numbers[state.MEMBERS] + width > len(tally.members):
            return state.TALLY_FULL
        if visit(layout, stack, tally, shuffles):
            stack.place[0] = depth + 1
    return state.PAUSED
