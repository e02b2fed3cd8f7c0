"""Data and contracts; nothing here knows a method."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .contents import *  # noqa: F403


def __getattr__(name: str) -> object:
    # The list waits until it is needed: whoever catches an error of `core.errors`, as the command line does for the
    # statistics, does not load torch.
    if name.startswith("_") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    contents = importlib.import_module(".contents", __name__)
    if not hasattr(contents, name):
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; its names are {', '.join(contents.__all__)}"
        )
    value: object = getattr(contents, name)
    globals()[name] = value
    return value
