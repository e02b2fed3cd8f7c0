"""How the hot loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function at its first call, without the interpreter's lock, and keep the result on disk.

    Numba keeps it beside the source, or in the user's cache where that cannot be written (``NUMBA_CACHE_DIR`` says
    otherwise). Where no place can be written at all, it is compiled anew in each process.

    Raises:
        RuntimeError: what numba says if it cannot compile at all.
    """
    try:
        made: Any = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:
        if "cannot cache function" not in str(error):
            raise
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return cast("F", made)


def _count_bits(typing: object, word: object) -> object:  # numba reads the types from what is returned
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


# A word's bits, by the processor's own instruction.
popcount = cast("Callable[[Any], int]", intrinsic(_count_bits))
