"""Find what matters in a network and remove the rest."""

__version__ = "0.1.0"
