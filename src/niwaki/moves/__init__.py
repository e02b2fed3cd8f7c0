"""Schedules, timelines and the moves they play."""

from .chain import play
from .drop import Drop
from .explore import Explore
from .grow import Grow
from .prune import Prune
from .restore import Restore
from .schedules import Curve, constant, cosine, cubic, exponential, geometric, linear, polynomial, rigl_cosine
from .timeline import Event, Timeline, merged

__all__ = [
    "Curve",
    "Drop",
    "Event",
    "Explore",
    "Grow",
    "Prune",
    "Restore",
    "Timeline",
    "constant",
    "cosine",
    "cubic",
    "exponential",
    "geometric",
    "linear",
    "merged",
    "play",
    "polynomial",
    "rigl_cosine",
]
