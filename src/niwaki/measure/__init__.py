"""Costs, measured or counted."""

from .flops import ModelFlops, count_flops
from .latency import Timing, Timings, latency
from .ledger import Entry, Ledger, peak_memory, step_flops
from .timing import Ratio, compare_times

__all__ = [
    "Entry",
    "Ledger",
    "ModelFlops",
    "Ratio",
    "Timing",
    "Timings",
    "compare_times",
    "count_flops",
    "latency",
    "peak_memory",
    "step_flops",
]
