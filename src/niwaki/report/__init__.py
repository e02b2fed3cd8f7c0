"""Pages and tables that tell the truth."""

from .compare import comparison
from .page import write_report

__all__ = ["comparison", "write_report"]
