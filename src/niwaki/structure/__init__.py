"""Model to groups; groups and the units to keep to a smaller model."""

from .declare import blocks, n_of_m, weights
from .families import align_states, states
from .shrink import apply_cut, shrink

__all__ = ["align_states", "apply_cut", "blocks", "n_of_m", "shrink", "states", "weights"]
