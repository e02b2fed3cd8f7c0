"""Schedules, timelines and the moves they play."""

from .afford import Choose, Fit, Refill, Rewire, Shed, check_limits
from .chain import play
from .drop import Drop
from .explore import Explore
from .grow import Grow
from .prune import Prune
from .restore import Restore
from .schedules import Curve, constant, cosine, cubic, exponential, geometric, linear, polynomial, rigl_cosine
from .timeline import Event, Timeline, merged

__all__ = [
    "Choose",
    "Curve",
    "Drop",
    "Event",
    "Explore",
    "Fit",
    "Grow",
    "Prune",
    "Refill",
    "Restore",
    "Rewire",
    "Shed",
    "Timeline",
    "check_limits",
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
