"""Searches that joblib spreads give the same on a cluster of processes as alone: Dask where it is there, and Ray."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import numpy as np
import pytest

from niwaki.causality import CausalNetwork
from niwaki.patterns import SignificantPatterns

joblib = pytest.importorskip("joblib", reason="a cluster is spoken to by joblib")


@pytest.fixture(scope="module")
def dask():
    distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        with distributed.Client(cluster):
            yield "dask"


@pytest.fixture(scope="module")
def ray():
    found = pytest.importorskip("ray", reason="ray is not installed")
    found.init(num_cpus=2, include_dashboard=False)
    importlib.import_module("ray.util.joblib").register_ray()
    yield "ray"
    found.shutdown()


@pytest.fixture(params=["dask", "ray"])
def backend(request):
    return request.getfixturevalue(request.param)


def _labelled(samples=300, width=14):
    generator = np.random.default_rng(0)
    items = generator.random((samples, width)) < 0.5
    labels = items[:, [1, 4]].all(axis=1) ^ (generator.random(samples) < 0.25)
    return items, labels, generator.integers(0, 3, samples)


@pytest.mark.parametrize(
    "settings", [{}, {"permutations": 99}, {"rule": "grid", "passes": "two"}], ids=["exact", "shuffled", "two-passes"]
)
def test_patterns(backend, settings):
    items, labels, strata = _labelled()
    compiled = find_spec("numba") is not None
    alone = SignificantPatterns(compiled=compiled, **settings).fit(items, labels, strata)
    shares = []
    with joblib.parallel_config(backend=backend):
        many = SignificantPatterns(
            workers=2, compiled=compiled, progress=lambda now: shares.append(now.share), **settings
        ).fit(items, labels, strata)
    assert len(alone.results_) > 0
    assert many.complete_
    assert many.results_.rows() == alone.results_.rows()
    assert (many.findings_.testable, many.findings_.level) == (alone.findings_.testable, alone.findings_.level)
    assert shares[-1] == pytest.approx(1.0)


def test_patterns_without_a_compiler(backend):
    items, labels, strata = _labelled(width=9)
    alone = SignificantPatterns(compiled=False).fit(items, labels, strata)
    with joblib.parallel_config(backend=backend):
        many = SignificantPatterns(workers=2, compiled=False).fit(items, labels, strata)
    assert len(alone.results_) > 0
    assert many.results_.rows() == alone.results_.rows()


@pytest.mark.parametrize("surrogate", ["shift", "iaaft"])
def test_causal_networks(backend, surrogate):
    series = np.random.default_rng(1).random((200, 4))
    series[1:, 1] = 0.6 * series[:-1, 0] + 0.4 * series[1:, 1]
    alone = CausalNetwork(surrogates=19, surrogate=surrogate, correction="max").fit(series)
    told = []
    with joblib.parallel_config(backend=backend, n_jobs=2):
        many = CausalNetwork(surrogates=19, surrogate=surrogate, correction="max").fit(
            series, progress=lambda done, every: told.append((done, every))
        )
    assert (alone.edges_[0].source, alone.edges_[0].target) == ("x0", "x1")
    assert many.edges_ == alone.edges_
    assert many.scores_.null.tobytes() == alone.scores_.null.tobytes()
    assert told[-1] == (4, 4)
