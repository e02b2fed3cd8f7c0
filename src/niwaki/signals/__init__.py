"""Model, batches and loss to signals."""

from .collect import KINDS, collect
from .probe import probe
from .score import checked_score, score

__all__ = ["KINDS", "checked_score", "collect", "probe", "score"]
