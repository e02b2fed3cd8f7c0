"""Names of a package that are loaded when the first of them is used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable


def names_in(package: str, contents: str) -> Callable[[str], object]:
    """The ``__getattr__`` of a package whose names stand in a file that waits until one of them is needed.

    Args:
        package: its name.
        contents: the file, relative to it, with the list of names as ``__all__``.

    Returns:
        The function; it keeps what it has found in the package.
    """

    def attribute(name: str) -> object:
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = importlib.import_module(contents, package)
        if not hasattr(found, name):
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}; its names are {', '.join(found.__all__)}"
            )
        value: object = getattr(found, name)
        setattr(sys.modules[package], name, value)
        return value

    return attribute
