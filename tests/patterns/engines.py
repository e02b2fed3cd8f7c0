"""Every test of the search runs on both engines."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

COMPILED = pytest.param(
    True, id="compiled", marks=pytest.mark.skipif(find_spec("numba") is None, reason="numba is not installed")
)
ARRAYS = pytest.param(False, id="arrays")
ENGINES = pytest.mark.parametrize("compiled", [COMPILED, ARRAYS])

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "patterns"
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason="the shared data is not beside the repository")
