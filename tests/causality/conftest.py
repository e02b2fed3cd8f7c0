"""The loops of NumPy beside the compiled ones."""

import importlib

import pytest

from tests.causality.without_numba import without_numba


@pytest.fixture(params=["numba", "numpy"])
def loops(request):
    """Each test twice: with the compiled loops and with those of NumPy."""
    from niwaki.causality.engine import engine

    if request.param == "numba":
        pytest.importorskip("numba", reason="the compiled loops need numba")
        assert engine() is importlib.import_module("niwaki.causality.compiled")
        yield request.param
    else:
        with without_numba():
            assert engine() is importlib.import_module("niwaki.causality.blocks")
            yield request.param
