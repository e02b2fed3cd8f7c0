"""Compiled loops, NumPy's loops and the tree find the same."""

import subprocess
import sys

import numpy as np
import pytest

from niwaki.causality import blocks, engine
from niwaki.causality.digamma import digamma_table
from tests.causality import oracle

compiled = pytest.importorskip("niwaki.causality.compiled", reason="the compiled loops need numba")


def _points(kind, rows=300, width=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, width)) if kind == "smooth" else rng.integers(0, 4, (rows, width)).astype(float)


@pytest.mark.parametrize("kind", ["smooth", "ties"])
@pytest.mark.parametrize("theiler", [0, 3])
def test_neighbours_are_those_of_the_loop(loops, kind, theiler):
    points = _points(kind, 80)
    found = engine.nearest(points, 7, theiler)
    assert found.tolist() == oracle.nearest(points, 7, theiler)


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_neighbours_in_a_library(loops, kind):
    points = _points(kind, 60)
    library = np.sort(np.random.default_rng(1).permutation(60)[:25])
    found = engine.engine().nearest(points, library, 5, 1)
    assert found.tolist() == oracle.nearest(points, 5, 1, library.tolist())


@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_the_tree_finds_what_brute_force_finds(kind):
    pytest.importorskip("scipy", reason="the tree is SciPy's")
    points = _points(kind, 1500)
    everything = np.arange(len(points))
    for theiler in (0, 2, 10):
        brute = compiled.nearest(points, everything, 9, theiler)
        assert (engine._by_tree(points, 9, theiler) == brute).all()


def test_long_series_are_searched_with_the_tree(monkeypatch):
    pytest.importorskip("scipy", reason="the tree is SciPy's")
    asked = []
    by_tree = engine._by_tree

    def spy(points, count, theiler):
        asked.append(count)
        return by_tree(points, count, theiler)

    monkeypatch.setattr(engine, "_by_tree", spy)
    points = _points("smooth", engine._TREE)
    near = engine.nearest(points, 5, 1)
    assert asked
    assert (near == compiled.nearest(points, np.arange(len(points)), 5, 1)).all()
    engine.nearest(points[:-1], 5, 1)
    engine.nearest(points, 5, engine._WIDE)
    assert len(asked) == 1


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", ["smooth", "ties"])
def test_information_within_neighbourhoods_is_the_same(kind, scaled):
    causes, effect = _points(kind, 200, 5), _points("smooth", 200, 2)
    near = compiled.nearest(effect, np.arange(200), 9, 2)
    starts, psi = np.array([0, 1, 3, 5]), digamma_table(9)
    one, other = (
        part.local_information(causes, starts, effect, near, k=3, psi=psi, scaled=scaled) for part in (blocks, compiled)
    )
    assert one.shape == (200, 3)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["smooth", "ties"])
@pytest.mark.parametrize("width", [0, 2])
def test_counts_are_the_same(kind, width):
    x, y, z = _points(kind, 150, 1), _points(kind, 150, 2), _points(kind, 150, width)
    for theiler in (0, 4):
        one = blocks.near_counts(x, y, z, k=3, theiler=theiler)
        assert np.array_equal(one, compiled.near_counts(x, y, z, k=3, theiler=theiler))


def test_small_blocks_change_nothing(monkeypatch):
    points, near = _points("smooth", 90), compiled.nearest(_points("smooth", 90), np.arange(90), 6, 1)
    arguments = (points, np.array([0, 2, 3]), points, near)
    whole = blocks.local_information(*arguments, k=2, psi=digamma_table(6), scaled=False)
    counts = blocks.near_counts(points, points, points, k=2, theiler=1)
    monkeypatch.setattr(blocks, "_BLOCK", 500)
    assert (blocks.local_information(*arguments, k=2, psi=digamma_table(6), scaled=False) == whole).all()
    assert np.array_equal(blocks.near_counts(points, points, points, k=2, theiler=1), counts)
    assert (blocks.nearest(points, np.arange(90), 6, 1) == near).all()


def test_digamma_is_scipys():
    special = pytest.importorskip("scipy.special", reason="the oracle is SciPy's")
    np.testing.assert_allclose(digamma_table(5000)[1:], special.digamma(np.arange(1, 5001)), rtol=0, atol=1e-12)


def test_importing_it_loads_neither_torch_nor_what_is_optional():
    script = """
import sys
import niwaki.causality
print(*[name for name in ("torch", "numba", "scipy", "joblib", "pandas", "polars", "sklearn") if name in sys.modules])
x = niwaki.causality.interventional_embedding_entropy([0.1, 0.7, 0.3, 0.9] * 9, [0.2, 0.5, 0.8, 0.4] * 9)
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["", "False"]


def test_without_numba_scipy_and_joblib_a_network_is_the_same():
    script = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import numpy as np
from niwaki.causality import CausalNetwork, CausalityError
series = np.random.default_rng(0).random((300, 3))
series[1:, 2] += series[:-1, 0]
network = CausalNetwork(surrogates=19).fit(series)
print([(e.source, e.target, round(e.score, 9), e.p) for e in network.edges_])
try:
    CausalNetwork(surrogates=0, n_jobs=2).fit(series)
except CausalityError as error:
    print(error)
"""
    outputs = []
    for missing in ((), ("numba", "scipy", "joblib")):
        command = [sys.executable, "-c", script, *missing]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        outputs.append(done.stdout.split("\n"))
    assert outputs[0][0] == outputs[1][0]
    assert outputs[0][1] == ""
    assert outputs[1][1] == (
        "n_jobs=2 needs joblib, which is not installed: pip install 'niwaki[statistics]', or n_jobs=1"
    )
