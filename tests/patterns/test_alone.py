"""The patterns stand alone: no torch, nothing loaded before it is used, no place to write needed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from niwaki.patterns import PatternError, mining

_SEARCH = """
import numpy as np
items = np.random.default_rng(0).random((80, 4)) < 0.5
from niwaki.patterns import significant_patterns
print(significant_patterns(items, items[:, 1], compiled={compiled})[0].items)
"""


def _run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_importing_loads_neither_torch_nor_the_extras():
    loaded = _run(
        "import sys, niwaki.patterns\n"
        "print([n for n in ('torch', 'numba', 'scipy', 'joblib', 'pandas') if n in sys.modules])"
    )
    assert loaded[0] == "[]"


def test_a_search_without_numba_loads_neither_torch_nor_numba():
    out = _run(_SEARCH.format(compiled=False) + "import sys; print('torch' in sys.modules, 'numba' in sys.modules)")
    assert out[:2] == ["(1,)", "False False"]


def test_compiled_code_is_kept_where_one_says(tmp_path):
    pytest.importorskip("numba", reason="numba is not installed")
    code = (
        "from niwaki.patterns import bounds_compiled as b\nimport numpy as np\n"
        "one = np.ones(1)\nprint(b.best_statistic(2 * one, 10 * one, 4 * one))"
    )
    # Two of four cases among ten samples: (2 - 0.8)^2 / (0.4 * 0.6 * 2 * 0.8) = 3.75.
    assert float(_run(code, NUMBA_CACHE_DIR=str(tmp_path))[0]) == pytest.approx(3.75)
    assert list(tmp_path.rglob("*.nbi"))


def test_a_function_that_cannot_be_kept_is_compiled_all_the_same():
    compiling = pytest.importorskip("niwaki.patterns.compiling", reason="numba is not installed")
    space: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x", space)  # it has no file to stand beside
    assert compiling.compiled(space["double"])(21) == 42


def test_what_is_missing_is_named(monkeypatch):
    def absent(*names):
        monkeypatch.setattr(mining, "find_spec", lambda name: None if name in names else object())

    absent("numba")
    assert mining._engine(None) == "walk_arrays"
    with pytest.raises(PatternError, match=r"compiled=True needs numba: pip install 'niwaki\[statistics\]'"):
        mining._engine(True)
    absent("scipy")
    with pytest.raises(PatternError, match=r"needs scipy: pip install 'niwaki\[statistics\]'"):
        mining._engine(None)
    absent("joblib")
    with pytest.raises(PatternError, match=r"more than one worker needs joblib: pip install 'niwaki\[statistics\]'"):
        mining._count(2)
