"""As where numba is not installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator

import pytest


@contextlib.contextmanager
def without_numba() -> Generator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "numba", None)
        patch.delitem(sys.modules, "niwaki.causality.compiled", raising=False)
        yield
