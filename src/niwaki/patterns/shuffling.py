"""Labels shuffled within the strata."""

from __future__ import annotations

import numpy as np

from .layout import Layout
from .state import Shuffles

_BLOCK = 256


def no_shuffles(layout: Layout) -> Shuffles:
    """What a search without shuffles carries along."""
    return Shuffles(np.zeros((len(layout.full), 0), np.uint64), np.zeros(0), np.zeros(0, np.int64))


def shuffled(layout: Layout, permutations: int, seed: int) -> Shuffles:
    """Masks of shuffled labels: in each stratum as many samples get label 1 as there are."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((len(layout.full), permutations), np.uint64)
    ends = np.cumsum(layout.sizes).astype(int)
    labels = np.zeros(len(layout.slots), np.uint8)
    for end, size, ones in zip(ends, layout.sizes.astype(int), layout.ones.astype(int), strict=True):
        labels[end - size : end - size + ones] = 1
    spread = np.zeros((_BLOCK, 64 * len(layout.full)), np.uint8)
    for start in range(0, permutations, _BLOCK):
        stop = min(start + _BLOCK, permutations)
        rows = np.tile(labels, (stop - start, 1))
        for end, size in zip(ends, layout.sizes.astype(int), strict=True):
            rows[:, end - size : end] = generator.permuted(rows[:, end - size : end], axis=1)
        spread[: len(rows), layout.slots] = rows
        packed = np.packbits(spread[: len(rows)], axis=1, bitorder="little").view("<u8")
        masks[:, start:stop] = packed.astype(np.uint64, copy=False).T
    return Shuffles(masks, np.zeros(permutations), np.zeros(permutations, np.int64))


def allowed(alpha: float, permutations: int) -> int:
    """Of how many shuffles the best statistic may reach that of a significant pattern.

    The labels as they are count as one more shuffle (Phipson and Smyth 2010), so that the bound holds exactly:
    ``(1 + allowed) / (1 + permutations) <= alpha``.

    >>> allowed(0.05, 10_000), allowed(0.05, 19)
    (499, 0)
    """
    return int(np.floor(alpha * (permutations + 1) * (1 + 1e-12))) - 1
