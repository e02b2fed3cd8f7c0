"""Costs, measured or counted."""

from .build_table import latency_table
from .counted import Counted, CountedPrices, counted
from .flops import ModelFlops, count_flops
from .latency import Timing, Timings, latency
from .layer_table import LatencyTable
from .ledger import Entry, Ledger, peak_memory, step_flops
from .skipping import LayerChoice, Skipping, skip_zeros
from .timing import Ratio, compare_times

__all__ = [
    "LayerChoice",
    "Counted",
    "CountedPrices",
    "Entry",
    "LatencyTable",
    "Ledger",
    "ModelFlops",
    "Ratio",
    "Skipping",
    "Timing",
    "Timings",
    "compare_times",
    "count_flops",
    "counted",
    "latency",
    "latency_table",
    "peak_memory",
    "skip_zeros",
    "step_flops",
]
