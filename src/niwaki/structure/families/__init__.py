"""What no graph can tell: the units of families of models."""

from .state_space import Adapter, align_states, states

__all__ = ["Adapter", "align_states", "states"]
