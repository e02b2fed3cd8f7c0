"""Model to groups; groups and the units to keep to a smaller model."""

from .declare import blocks, n_of_m, weights
from .shrink import apply_cut, shrink

__all__ = ["apply_cut", "blocks", "n_of_m", "shrink", "weights"]
