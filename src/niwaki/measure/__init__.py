"""Costs, measured or counted."""

from .flops import ModelFlops, count_flops
from .ledger import Entry, Ledger, peak_memory, step_flops
from .timing import Ratio, compare_times

__all__ = [
    "Entry",
    "Ledger",
    "ModelFlops",
    "Ratio",
    "compare_times",
    "count_flops",
    "peak_memory",
    "step_flops",
]
