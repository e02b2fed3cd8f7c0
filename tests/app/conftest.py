"""Small data and a stand-in for the report."""

import sys

import numpy as np
import pytest

from niwaki.app import latencies
from niwaki.measure import Timing, Timings


@pytest.fixture
def own_modules(tmp_path, monkeypatch):
    """A folder to write modules into, as a user's current one; forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def pages(monkeypatch):
    """What the command line wants a report of, instead of making one."""
    asked = []

    def write_report(runs, out):
        asked.append(([str(run) for run in runs], str(out)))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("<html></html>")

    monkeypatch.setattr("niwaki.report.write_report", write_report, raising=False)
    return asked


@pytest.fixture
def clock(monkeypatch):
    """The smaller model takes half as long, without a clock."""

    def timed(models, inputs, **_):
        first, second = models
        rows = Timing(first, (0.02,), 0.02, 0.01, 1.0, 1.0, 1.0), Timing(second, (0.01,), 0.01, 0.01, 0.5, 0.48, 0.52)
        return Timings(rows, 1, 1, True)

    monkeypatch.setattr(latencies, "time_models", timed)


@pytest.fixture
def mnist_like(tmp_path):
    """A numpy file laid out as MNIST: 200 training and 40 test pictures of 6 x 6, unevenly spread over 4 classes."""
    dice = np.random.default_rng(1)
    file = tmp_path / "small.npz"
    labels = [dice.choice(4, n, p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8) for n in (200, 40)]
    labels[0][:4] = range(4)
    arrays = {
        "x_train": dice.integers(0, 256, (200, 6, 6), dtype=np.uint8),
        "y_train": labels[0],
        "x_test": dice.integers(0, 256, (40, 6, 6), dtype=np.uint8),
        "y_test": labels[1],
    }
    np.savez(file, **arrays)
    return file, arrays
