"""One published method per file, composition only."""

from .gradual import acdc, gmp
from .iee import iee
from .last import last
from .rigl import rigl, sparse_evolution
from .static import dense, static

__all__ = ["acdc", "dense", "gmp", "iee", "last", "rigl", "sparse_evolution", "static"]
