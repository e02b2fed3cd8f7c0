"""Labels shuffled within the strata."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .layout import Layout, Words
from .state import Shuffles

_BLOCK = 256


def no_shuffles(layout: Layout) -> Shuffles:
    """What a search without shuffles carries along."""
    return Shuffles(np.zeros((len(layout.full), 0), np.uint64), np.zeros(0), np.zeros(0, np.int64))


def shuffled(layout: Layout, permutations: int, seed: int, workers: int = 1) -> Shuffles:
    """Masks of shuffled labels: in each stratum as many samples get label 1 as there are.

    Args:
        layout: the data.
        permutations: how many.
        seed: of the random numbers; what comes out does not depend on the workers.
        workers: threads.
    """
    masks = np.zeros((len(layout.full), permutations), np.uint64)
    starts = range(0, permutations, _BLOCK)

    def fill(start: int, source: np.random.SeedSequence) -> None:
        stop = min(start + _BLOCK, permutations)
        masks[:, start:stop] = _block(layout, stop - start, np.random.default_rng(source))

    with ThreadPoolExecutor(max_workers=workers) as pool:
        list(pool.map(fill, starts, np.random.SeedSequence(seed).spawn(len(starts))))
    return Shuffles(masks, np.zeros(permutations), np.zeros(permutations, np.int64))


def _block(layout: Layout, count: int, generator: np.random.Generator) -> Words:
    """Some of the masks, ``[words, count]``."""
    ends, sizes = np.cumsum(layout.sizes).astype(int), layout.sizes.astype(int)
    rows = np.zeros((count, len(layout.slots)), np.uint8)
    for end, size, ones in zip(ends, sizes, layout.ones.astype(int), strict=True):
        part = rows[:, end - size : end]
        part[:, :ones] = 1
        generator.permuted(part, axis=1, out=part)
    spread = np.zeros((count, 64 * len(layout.full)), np.uint8)
    spread[:, layout.slots] = rows
    packed = np.packbits(spread, axis=1, bitorder="little").view("<u8")
    return packed.astype(np.uint64, copy=False).T


def allowed(alpha: float, permutations: int) -> int:
    """Of how many shuffles the best statistic may reach that of a significant pattern.

    The labels as they are count as one more shuffle (Phipson and Smyth 2010), so that the bound holds exactly:
    ``(1 + allowed) / (1 + permutations) <= alpha``.

    >>> allowed(0.05, 10_000), allowed(0.05, 19)
    (499, 0)
    """
    return int(np.floor(alpha * (permutations + 1) * (1 + 1e-12))) - 1
