"""Model, batches and loss to signals."""

from .collect import KINDS, collect
from .probe import probe
from .score import score

__all__ = ["KINDS", "collect", "probe", "score"]
