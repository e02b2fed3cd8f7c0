"""Data and contracts; nothing here knows a method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import names_in

if TYPE_CHECKING:
    from .contents import *  # noqa: F403


# The list waits until it is needed: whoever catches an error of `core.errors`, as the command line does for the
# statistics, does not load torch.
__getattr__ = names_in(__name__, ".contents")
