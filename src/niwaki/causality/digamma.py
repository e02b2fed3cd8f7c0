"""The digamma function at whole numbers."""

from __future__ import annotations

import numpy as np

from .frame import Floats


def digamma_table(size: int) -> Floats:
    """``psi(0..size)``; the entry at 0 is never used and stands as 0."""
    table = np.zeros(size + 1)
    table[1:] = -np.euler_gamma + np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size))])
    return table
