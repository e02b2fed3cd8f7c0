"""What matters in data: combinations of items that go along with a label, given a covariate. Imports no torch."""

from .errors import OutOfReach, PatternError
from .estimator import SignificantPatterns
from .findings import Findings, Pattern, Progress
from .layout import Packed, pack, pack_columns
from .mining import significant_patterns
from .settings import Search
from .table import Table

__all__ = [
    "Findings",
    "OutOfReach",
    "Packed",
    "Pattern",
    "PatternError",
    "Progress",
    "Search",
    "SignificantPatterns",
    "Table",
    "pack",
    "pack_columns",
    "significant_patterns",
]
