"""Runs over channels on the pages: weights that went with them, and layers that were left with one."""

from __future__ import annotations

import json

from niwaki.report import comparison, write_report
from niwaki.report.pruning_page import pruning_page
from tests.report.latent import cut_result, latency
from tests.report.parsed import parse, result
from tests.report.synthetic import make_run


def _trained(folder, **changed):
    """A run over channels within a budget of latency, with more in its result."""
    run = make_run(folder, "iee", steps=600, config={"latency": 0.5, "density": None, "units": "channels"})
    found = result(run) | {"groups": cut_result()["groups"], "latency": latency(0.5), **changed}
    (run / "result.json").write_text(json.dumps(found))
    return run


def _page_of(folder, *runs):
    return parse(write_report(runs, folder / "report.html").read_text(encoding="utf-8"))


def test_weights_kept_are_counted_where_whole_channels_went(tmp_path):
    """Half of the channels have a quarter of the parameters."""
    run = _trained(tmp_path / "run", density=0.5, weights_kept=25_000, weights_total=100_000)
    words = _page_of(tmp_path, run).one("header").text
    assert "25 % of its weights" in words
    assert "250 of 1,000 dots are filled: 25 % of the weights are left." in words
    (row,) = comparison([run])
    assert (row["weights_left"], row["density_reached"]) == (0.25, 0.5)


def test_what_was_noted_of_widths_stands_on_both_pages(tmp_path):
    words = "conv1 keeps 1 of 16 channels: a remedy"
    run = _trained(tmp_path / "run", notes=[words])
    assert "Conv1 keeps 1 of 16 channels: a remedy." in _page_of(tmp_path, run).one("section", id="latency").text
    page = parse(pruning_page(cut_result() | {"notes": [words]}, "niwaki prune"))
    assert "Conv1 keeps 1 of 16 channels: a remedy." in page.one("section", id="asked").text
