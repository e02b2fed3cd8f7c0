"""Model to groups."""

from .declare import blocks, n_of_m, weights

__all__ = ["blocks", "n_of_m", "weights"]
