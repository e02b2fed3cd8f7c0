"""The sparsifier: the only stateful object."""

from .plan import Plan
from .reestimate import reestimate_norms
from .sparsifier import Sparsifier
from .values import Values, readers, usual_values

__all__ = ["Plan", "Sparsifier", "Values", "readers", "reestimate_norms", "usual_values"]
