"""The demo compares three methods and claims no more than it shows."""

import io
import json

import pytest
from rich.console import Console

from niwaki.app.demo import run_demo, show
from niwaki.app.progress import Silent
from niwaki.core import StoreError


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(folder, Silent(), seeds=2, steps=160)


def test_each_method_runs_with_each_seed(short):
    folder, found = short
    assert found["runs"] == [str(folder / f"{method}-{seed}") for method in ("dense", "rigl", "iee") for seed in (0, 1)]
    for row in found["methods"]:
        results = [json.loads((folder / f"{row['method']}-{seed}" / "result.json").read_text()) for seed in (0, 1)]
        accuracies = [result["accuracy"] for result in results]
        assert row["accuracy"] == pytest.approx(sum(accuracies) / 2)
        assert (row["lowest"], row["highest"]) == (min(accuracies), max(accuracies))


def test_densities_and_costs_are_what_they_should_be(short):
    dense, rigl, iee = short[1]["methods"]
    assert (dense["density"], dense["dense_runs"]) == (1.0, 1.0)
    for row in (rigl, iee):
        assert row["weights_kept"] == round(0.05 * 17_024)
    # RigL trains at its density but for the steps that grow; IEE explores in dense passes on top of that.
    assert 0.05 <= rigl["dense_runs"] < 0.07 < iee["dense_runs"] < 0.3


def test_the_table_tells_how_to_read_it(short):
    console = Console(file=io.StringIO(), width=160)
    show(short[1], short[0] / "report.html", console)
    text = " ".join(console.file.getvalue().split())
    for part in ("2 seeds each", "dense", "RigL", "IEE", "851", "359 images", "mean nothing here", "report.html"):
        assert part in text


def test_an_earlier_demo_is_left_alone_unless_told(short):
    with pytest.raises(StoreError, match="dense-0 is not empty"):
        run_demo(short[0], Silent(), seeds=1, steps=160)
