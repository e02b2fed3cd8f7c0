"""Freed memory kept while something is timed.

The C library may give memory that a model has freed back to the system and fetch it again, page by page, at the next
call. Whether it does hangs on what the process has done before and on which tensor happens to lie on top: ResNet-20
took 33 or 55 ms, and an operator timed alone pays for it at other sizes than a model does. None of this is the model.
"""

from __future__ import annotations

import ctypes
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Of mallopt, in the GNU C library.
_TRIM_THRESHOLD, _MAP_THRESHOLD, _MAPS = -1, -3, -4
_NEVER = 2**31 - 1
# To where the library's own rule goes as soon as a process has freed a large tensor; its rule ends where one is set.
_USUAL = {_TRIM_THRESHOLD: 64 << 20, _MAP_THRESHOLD: 32 << 20, _MAPS: 1 << 16}

_inside = 0


@cache
def _library() -> Any:
    """The C library, where it is one that can be told."""
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - others have a mallopt of other meaning
        library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    except (AttributeError, OSError, TypeError):
        return None
    return library


@contextmanager
def kept_memory() -> Generator[None, None, None]:
    """Give no memory back to the system inside; afterwards as usual. Does nothing where the C library cannot."""
    global _inside  # the setting is the process's, too
    library = _library()
    if library is None or _inside:
        yield
        return
    _inside += 1
    try:
        library.mallopt(_TRIM_THRESHOLD, _NEVER)
        library.mallopt(_MAPS, 0)
        yield
    finally:
        _inside -= 1
        for what, value in _USUAL.items():
            library.mallopt(what, value)
        library.malloc_trim(0)


__all__ = ["kept_memory"]
