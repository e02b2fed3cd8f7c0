"""One published method per file, composition only."""

from .gradual import acdc, gmp
from .halp import halp
from .iee import iee
from .last import last
from .rigl import rigl, sparse_evolution
from .smcp import smcp
from .static import dense, static

__all__ = ["acdc", "dense", "gmp", "halp", "iee", "last", "rigl", "smcp", "sparse_evolution", "static"]
