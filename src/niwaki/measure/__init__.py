"""Costs, measured or counted."""

from .build_table import latency_table
from .counted import Counted, CountedPrices, counted
from .flops import ModelFlops, count_flops
from .latency import Timing, Timings, latency
from .layer_table import LatencyTable
from .ledger import Entry, Ledger, peak_memory, step_flops
from .timing import Ratio, compare_times

__all__ = [
    "Counted",
    "CountedPrices",
    "Entry",
    "LatencyTable",
    "Ledger",
    "ModelFlops",
    "Ratio",
    "Timing",
    "Timings",
    "compare_times",
    "count_flops",
    "counted",
    "latency",
    "latency_table",
    "peak_memory",
    "step_flops",
]
