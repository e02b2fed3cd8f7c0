"""Every point that is drawn maps back to a number of the runs."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from niwaki.report import write_report
from niwaki.report.charts.axes import Axis, Scale, round_ticks, span, tick_words
from niwaki.report.charts.rows import row_names
from niwaki.report.charts.svg import WIDE
from niwaki.report.readable import share
from tests.report.parsed import figure_called, inverse, parse, points, records, result
from tests.report.synthetic import LAYERS, make_run


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("single") / "a", cycle=(60, 30, 10))
    return folder, parse(write_report([folder], folder).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    runs = {m: [make_run(folder / f"{m}{s}", m, seed=s) for s in range(3)] for m in ("dense", "iee", "gmp")}
    return runs, parse(write_report([r for some in runs.values() for r in some], folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_accuracies_lie_where_they_belong(single, size):
    folder, page = single
    svg = figure_called(page, "Accuracy over steps").one("svg", size)
    x, y = inverse(svg, "x"), inverse(svg, "y")
    drawn = [(x(c.number("cx")), y(c.number("cy"))) for c in svg.all("circle", "mark")]
    wanted = [(r["step"], r["accuracy"]) for r in records(folder, "eval")]
    # A tenth of a pixel is a step or two, and less than a thousandth of the accuracy.
    np.testing.assert_allclose([d[0] for d in drawn], [w[0] for w in wanted], atol=2)
    np.testing.assert_allclose([d[1] for d in drawn], [w[1] for w in wanted], atol=0.001)
    along = points(svg.one("path", "line").attributes["d"])
    np.testing.assert_allclose([x(p[0]) for p in along], [w[0] for w in wanted], atol=2)


def test_stages_cover_their_steps(single):
    _, page = single
    # 75 % of 1200 steps hold nine cycles of 60 + 30 + 10 steps.
    wanted = []
    for n in range(9):
        at = 100 * n
        wanted += [("estimate", at, at + 60), ("improve", at + 60, at + 90), ("explore", at + 90, at + 100)]
    wanted.append(("train", 900, 1200))
    for heading in ("Accuracy over steps", "Loss over steps"):
        svg = figure_called(page, heading).one("svg", "wide")
        x = inverse(svg, "x")
        shades = svg.all("rect", "shade")
        assert [s.attributes["data-stage"] for s in shades] == [name for name, _, _ in wanted]
        edges = [(x(s.number("x")), x(s.number("x") + s.number("width"))) for s in shades]
        np.testing.assert_allclose(edges, [(begin, end) for _, begin, end in wanted], atol=1)
        assert all(f"stage-{name}" in s.classes for s, (name, _, _) in zip(shades, wanted, strict=True))


def test_the_band_of_a_noisy_loss_holds_its_extremes(single):
    folder, page = single
    svg = figure_called(page, "Loss over steps").one("svg", "wide")
    y = inverse(svg, "y", log=True)
    band = [y(p[1]) for p in points(svg.one("path", "band").attributes["d"])]
    losses = [r["loss"] for r in records(folder, "train")]
    assert max(band) == pytest.approx(max(losses), rel=0.01)
    assert min(band) == pytest.approx(min(losses), rel=0.01)


def test_several_runs_are_drawn_as_mean_and_range(several):
    runs, page = several
    svg = figure_called(page, "Accuracy over steps").one("svg", "wide")
    x, y = inverse(svg, "x"), inverse(svg, "y")
    for name, method in (("Dense", "dense"), ("IEE 5\N{NO-BREAK SPACE}%", "iee"), ("GMP 5\N{NO-BREAK SPACE}%", "gmp")):
        values = np.array([[r["accuracy"] for r in records(run, "eval")] for run in runs[method]])
        (line,) = [p for p in svg.all("path", "line") if p.attributes["data-name"] == name]
        drawn = points(line.attributes["d"])
        np.testing.assert_allclose([x(p[0]) for p in drawn], range(60, 1201, 60), atol=2)
        np.testing.assert_allclose([y(p[1]) for p in drawn], values.mean(0), atol=0.001)
        tone = next(iter(c for c in line.classes if c.startswith("tone")))
        band = [y(p[1]) for p in points(svg.one("path", "band", tone).attributes["d"])]
        np.testing.assert_allclose(band, [*values.max(0), *values.min(0)[::-1]], atol=0.001)


def test_each_cohort_has_its_lane_of_stages(several):
    runs, page = several
    svg = figure_called(page, "Loss over steps").one("svg", "wide")
    x = inverse(svg, "x")
    lanes = [[r for r in svg.all("rect", "lane") if r.attributes["data-row"] == str(row)] for row in range(3)]
    assert [r.attributes["data-stage"] for r in lanes[0]] == ["train"]
    assert [r.attributes["data-stage"] for r in lanes[2]] == ["prune", "train"]
    assert x(lanes[2][0].number("x") + lanes[2][0].number("width")) == pytest.approx(900, abs=1)
    assert len(lanes[1]) == 28  # nine cycles of three stages, and training


def test_costs_and_accuracies_lie_where_they_belong(several):
    runs, page = several
    svg = page.one("section", id="efficiency").one("svg", "wide")
    x, y = inverse(svg, "x", log=True), inverse(svg, "y")
    marks = {p.attributes["data-name"].split()[0]: p for p in svg.all("path", "point")}
    assert list(marks) == ["Dense", "IEE", "GMP"]
    for mark, some in zip(marks.values(), runs.values(), strict=True):
        found = [result(run) for run in some]
        assert x(mark.number("data-cx")) == pytest.approx(np.mean([r["flops"] for r in found]), rel=1e-6)
        assert y(mark.number("data-cy")) == pytest.approx(np.mean([r["accuracy"] for r in found]), abs=1e-4)
        tone = next(c for c in mark.classes if c.startswith("tone"))
        ends = [y(p[1]) for w in svg.all("path", "whisker", tone) for p in points(w.attributes["d"])]
        assert min(ends) == pytest.approx(min(r["accuracy"] for r in found), abs=3e-4)
        assert max(ends) == pytest.approx(max(r["accuracy"] for r in found), abs=3e-4)


def test_bars_are_as_long_as_layers_are_dense(single):
    folder, page = single
    svg = figure_called(page, "Density per layer at the end").one("svg", "wide")
    x = inverse(svg, "x")
    bars = {b.attributes["data-row"]: b for b in svg.all("rect", "bar")}
    assert list(bars) == list(LAYERS)
    for name, bar in bars.items():
        assert x(bar.number("x")) == pytest.approx(0, abs=1e-4)
        assert x(bar.number("x") + bar.number("width")) == pytest.approx(result(folder)["densities"][name], abs=1e-4)


def test_diagnostics_are_the_records_of_the_moves(single):
    folder, page = single
    headings = {"iou": "Structure kept over a cycle", "survival": "Grown units that survive"}
    for key, heading in headings.items():
        svg = figure_called(page, heading, "structure").one("svg")
        x, y = inverse(svg, "x"), inverse(svg, "y")
        drawn = [(x(c.number("cx")), y(c.number("cy"))) for c in svg.all("circle", "mark")]
        wanted = [(m["step"], m[key]) for m in records(folder, "move") if key in m]
        np.testing.assert_allclose(drawn, wanted, atol=4)
        np.testing.assert_allclose([d[1] for d in drawn], [w[1] for w in wanted], atol=0.002)


def test_heat_is_darkest_where_a_layer_is_dense(tmp_path):
    folder = make_run(tmp_path / "a", "gmp", steps=600)
    page = parse(write_report([folder], tmp_path).read_text(encoding="utf-8"))
    figure = figure_called(page, "How the layers moved")
    shades = {c for p in figure.one("svg", "wide").all("path", "heat") for c in p.classes if c.startswith("heat-")}
    assert {"heat-0", "heat-9"} <= shades
    moves = records(folder, "move")
    low = min(v for m in moves for v in m["densities"].values())
    assert f"from {float(f'{100 * low:.3g}'):g} %" in figure.one("figcaption").text
    # The first column of the table is the first pruning.
    first = [row.all("td")[0].text for row in figure.one("tbody").all("tr")]
    assert first == [f"{float(f'{100 * v:.3g}'):g} %" for v in moves[0]["densities"].values()]


def test_shares_of_the_stages_fill_the_bar(single):
    folder, page = single
    ledger = json.loads((folder / "ledger.json").read_text())["stages"]
    section = page.one("section", id="costs")
    parts = section.one("svg", "wide").all("rect", "part")
    for row, key in (("steps", "steps"), ("training FLOPs", "flops"), ("time", "seconds")):
        found = {p.attributes["data-stage"]: p for p in parts if p.attributes["data-row"] == row}
        total = sum(entry[key] for entry in ledger.values())
        for stage, entry in ledger.items():
            assert found[stage].number("data-length") == pytest.approx(entry[key] / total)
        widths = [p.number("width") for p in found.values()]
        assert widths[0] / sum(widths) == pytest.approx(ledger["estimate"][key] / total, abs=0.002)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["layers.0.weight", "layers.1.weight"], ["layers.0", "layers.1"]),
        (["net.a.0.w.weight", "net.b.weight"], ["a.0.w", "b"]),
        (["conv.weight", "conv.bias"], ["weight", "bias"]),
        (["fc.weight"], ["fc.weight"]),
        (["a", "b.c"], ["a", "b.c"]),
    ],
)
def test_rows_are_named_by_what_tells_them_apart(names, shown):
    drawn = parse("".join(row_names(names, replace(WIDE, left=200), 20.0)))
    assert [node.text.removeprefix(name) for node, name in zip(drawn.all("text"), names, strict=True)] == shown
    assert [node.one("title").text for node in drawn.all("text")] == names


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 1234, [0, 500, 1000]), (0.61, 0.64, [0.61, 0.62, 0.63, 0.64])],
)
def test_ticks_are_round(low, high, ticks):
    assert round_ticks(low, high, 5 if high == 1 else 3) == ticks


def test_ticks_are_never_written_alike():
    # Three digits would write 96.15 % and 96.2 % as the same number.
    ticks = round_ticks(0.9612, 0.9624, 5)
    words = tick_words(Axis("accuracy", share), ticks)
    assert len(set(words)) == len(ticks)
    assert [float(w.split()[0]) / 100 for w in words] == pytest.approx(ticks)


def test_log_scales_space_factors_evenly():
    scale = Scale(1, 1000, 0, 300, log=True)
    assert [scale(v) for v in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])
    assert scale.ticks(4) == [1, 10, 100, 1000]


@pytest.mark.parametrize("values", [[], [0.5], [0.0], [float("nan")]])
def test_axes_have_a_length_whatever_is_drawn(values):
    low, high = span(Axis("a"), values)
    assert high > low
    low, high = span(Axis("a", low=0.0), values)
    assert (low, high > low) == (0.0, True)
