"""Latency on the pages: the front found by hand, numbers read back from pictures and tables."""

from __future__ import annotations

import json
import math

import pytest

from niwaki.core.errors import StoreError
from niwaki.report import comparison, write_report
from niwaki.report.charts.scatter import Dot, front_of
from niwaki.report.latencies import latency_of
from niwaki.report.pruning_page import pruning_page
from tests.report.latent import LAYERS, cut_result, latency, make_cut, seconds_of, table
from tests.report.parsed import figure_called, inverse, parse, points, result, rows_of, table_called
from tests.report.synthetic import make_run


def _trained(folder, method, seed, ratio, accuracy, **asked):
    """A run that was asked for a latency, with what it reached."""
    config = {"latency": 0.5, "density": None, "units": "channels", **asked}
    run = make_run(folder, method, seed=seed, steps=600, config=config)
    found = result(run) | {"accuracy": accuracy, "groups": cut_result()["groups"]}
    found["latency"] = latency(ratio, asked=config["latency"], backend=str(config.get("backend", "onnxruntime")))
    (run / "result.json").write_text(json.dumps(found))
    return run


def _page_of(folder, *runs):
    return parse(write_report(runs, folder / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    # The mean of the three ratios is 0.5, that of the accuracies 0.94.
    runs = [_trained(folder / f"iee{s}", "iee", s, 0.48 + 0.02 * s, 0.93 + 0.01 * s) for s in range(3)]
    runs += [make_cut(folder / f"cut{s}", 0.55 + 0.01 * s, 0.90, seed=s) for s in range(3)]
    runs += [make_cut(folder / "thin", 0.3, 0.85, latency=0.3), make_run(folder / "dense", "dense", steps=600)]
    return _page_of(folder, *runs), runs


def test_the_front_is_what_nothing_beats():
    def dot(name, x, y):
        return Dot(name, x, y, (x, x), (y, y))

    dots = [dot("dense", 1.0, 0.97), dot("a", 0.5, 0.9), dot("b", 0.6, 0.89), dot("c", 0.3, 0.8), dot("d", 0.5, 0.85)]
    assert [each.name for each in front_of(dots)] == ["c", "a", "dense"]
    # Of two at the same place both stay; of two as fast, the better one.
    assert [each.name for each in front_of([*dots, dot("e", 0.3, 0.8)])] == ["c", "e", "a", "dense"]


def test_points_lie_where_the_numbers_say(several):
    page, _ = several
    figure = figure_called(page, "Accuracy and latency, onnxruntime, 1 thread, batch 1")
    svg = figure.one("svg", "wide")
    x, y = inverse(svg, "x"), inverse(svg, "y")
    at = {p.attributes["data-name"]: (x(p.number("data-cx")), y(p.number("data-cy"))) for p in svg.all("path", "point")}
    names = {name.replace("\N{NO-BREAK SPACE}", " "): place for name, place in at.items()}
    assert set(names) == {"Dense", "IEE 50 %", "one-shot Taylor 50 %", "one-shot Taylor 30 %"}
    assert names["IEE 50 %"] == pytest.approx((0.5, 0.94), abs=2e-3)
    assert names["one-shot Taylor 50 %"] == pytest.approx((0.56, 0.90), abs=2e-3)
    assert names["one-shot Taylor 30 %"] == pytest.approx((0.3, 0.85), abs=2e-3)
    assert names["Dense"][0] == pytest.approx(1.0, abs=2e-3)


def test_the_stairs_go_through_the_front_alone(several):
    page, _ = several
    svg = figure_called(page, "Accuracy and latency, onnxruntime, 1 thread, batch 1").one("svg", "wide")
    x, y = inverse(svg, "x"), inverse(svg, "y")
    corners = [(x(a), y(b)) for a, b in points(svg.one("path", "front").attributes["d"])]
    # From the thin cut along to IEE, up, along to the dense network, up, and out to the right.
    assert [round(a, 2) for a, _ in corners[:-1]] == [0.3, 0.5, 0.5, 1.0, 1.0]
    assert [round(b, 2) for _, b in corners[:4]] == [0.85, 0.85, 0.94, 0.94]
    assert corners[-1][1] == corners[-2][1]


def test_the_table_beside_it_has_milliseconds_and_intervals(several):
    page, runs = several
    rows = rows_of(table_called(page, "Accuracy and latency"))
    # 0.5 of 12.3 ms; the interval reaches from the lowest to the highest end over the seeds.
    assert rows["IEE 50 %"] == [
        ("6.15 ms", ""), ("50 %", "46 % to 54 %"), ("94.00 %", "93.00 % to 95.00 %"), ("yes", ""),
    ]  # fmt: skip
    assert rows["one-shot Taylor 50 %"][3] == ("no", "")
    assert rows["Dense"][0] == ("12.3 ms", "")
    assert rows["Dense"][2][0] == f"{100 * result(runs[-1])['accuracy']:.2f} %"


def test_predicted_and_measured_lie_on_one_picture(several):
    page, runs = several
    figure = figure_called(page, "Predicted against measured")
    found = [(p.number("data-x"), p.number("data-y")) for p in figure.one("svg", "wide").all("path", "point")]
    wanted = []
    for run in runs[:-1]:
        small = result(run)["latency"]["small"]
        wanted.append((1e3 * small["predicted"], 1e3 * small["measured"]))
    assert [v for pair in found for v in pair] == pytest.approx([v for pair in wanted for v in pair])


def test_the_line_of_both_being_the_same_is_always_in_sight(tmp_path):
    """Also where what was predicted and what was measured lie far apart."""
    run = _trained(tmp_path / "run", "iee", 0, 0.9, 0.94)
    other = _trained(tmp_path / "other", "gmp", 0, 0.8, 0.94)
    page = _page_of(tmp_path, run, other)
    svg = figure_called(page, "Predicted against measured").one("svg", "wide")
    x, y = inverse(svg, "x"), inverse(svg, "y")
    low, high = points(svg.one("path", "expected").attributes["d"])
    assert (x(low[0]), y(low[1])) == pytest.approx((0, 0), abs=0.02)
    assert x(high[0]) == pytest.approx(y(high[1]), abs=0.02)
    assert x(high[0]) > 0.5 * 11.8  # as far as the predictions reach


def test_settings_of_the_timer_are_not_mixed(tmp_path):
    runs = [_trained(tmp_path / b, "iee", 0, 0.5, 0.9, backend=b) for b in ("onnxruntime", "eager")]
    page = _page_of(tmp_path, *runs)
    headings = [node.text for node in page.one("section", id="latency").all("h3")]
    assert "Accuracy and latency, onnxruntime, 1 thread, batch 1" in headings
    assert "Accuracy and latency, eager, 1 thread, batch 1" in headings
    assert "With fewer than 3 seeds nothing is claimed" in page.one("section", id="latency").text


def test_without_a_dense_run_the_cuts_say_what_dense_is_worth(tmp_path):
    page = _page_of(tmp_path, make_cut(tmp_path / "a"), make_cut(tmp_path / "b", 0.3, latency=0.3))
    assert rows_of(table_called(page, "Accuracy and latency"))["Dense"][2] == ("97.00 %", "")


def test_runs_without_latency_have_no_such_section(tmp_path):
    page = _page_of(tmp_path, make_run(tmp_path / "a"), make_run(tmp_path / "b", "rigl"))
    assert "latency" not in [s.attributes["id"] for s in page.all("section")]
    runs = [make_run(tmp_path / "a2"), make_cut(tmp_path / "c")]
    page = _page_of(tmp_path, *runs)
    assert "Latency was not measured: IEE 5 %." in page.one("section", id="latency").text.replace("\xa0", " ")


def test_budgets_are_compared_with_their_like(tmp_path):
    runs = [_trained(tmp_path / f"{m}{a}", m, 0, a, 0.9, latency=a) for m in ("iee", "gmp") for a in (0.5, 0.3)]
    runs += [make_run(tmp_path / "weights", "iee", steps=600)]
    rows = comparison(runs)
    labels = [row["label"].replace("\N{NO-BREAK SPACE}", " ") for row in rows]
    assert labels == ["IEE 50 % of the latency", "GMP 50 % of the latency", "IEE 30 % of the latency",
                      "GMP 30 % of the latency", "IEE 5 %"]  # fmt: skip
    assert [row["density"] for row in rows] == [None, None, None, None, 0.05]
    page = _page_of(tmp_path, *runs)
    captions = [c.text for c in page.one("section", id="reached").all("caption")]
    assert captions == ["50 % of the latency", "30 % of the latency", "Density 5 %"]
    assert "at density 5 % and within 50 % of the latency and 30 % of the latency" in page.one("header").text


def test_one_trained_run_shows_widths_layers_and_table(tmp_path):
    page = _page_of(tmp_path, _trained(tmp_path / "run", "iee", 0, 0.52, 0.9))
    section = page.one("section", id="latency")
    assert rows_of(table_called(section, "All groups"))["conv1"][1:3] == [("16", ""), ("7", "")]
    assert "12.3 ms before, 6.4 ms now: 0.52 of it (95 % interval 0.5 to 0.54)." in section.text
    assert list(rows_of(table_called(section, "Time per layer"))) == list(LAYERS)
    assert table_called(section, "conv 3x3, 16 to 32: seconds")


def test_a_cut_alone_has_its_own_page(tmp_path):
    folder = make_cut(tmp_path / "cut")
    page = _page_of(tmp_path, folder)
    assert page.one("h1").text == "zoo:resnet20 with 40 % of its parameters"
    assert "asked for 50 % of the predicted latency." in page.one("header").text
    tiles = dict(zip([t.text for t in page.all("dt")], [d.text for d in page.all("dd")], strict=True))
    assert tiles["Latency"] == "6.4 msof 12.3 ms"
    assert rows_of(table_called(page, "Asked and reached"))["predicted latency, of the dense"] == [
        ("50 %", ""), ("49.2 %", ""),
    ]  # fmt: skip
    assert "niwaki prune zoo:resnet20 --data digits --latency 0.5" in page.one("section", id="again").text


def test_layers_before_and_after(tmp_path):
    page = parse(pruning_page(cut_result(), "niwaki prune"))
    figure = figure_called(page, "Time per layer")
    rows = rows_of(table_called(figure, "Time per layer"))
    assert list(rows) == list(LAYERS)
    # 10 us and 0.2 us for each of 16 times 32 products; half of that afterwards.
    assert rows["layer2.0.conv1"] == [("112 µs", ""), ("56.2 µs", ""), ("50 %", "")]
    svg = figure.one("svg", "wide")
    x = inverse(svg, "x")
    marks = [
        (p.attributes["data-row"], p.attributes["data-name"], x(p.number("data-cx"))) for p in svg.all("path", "point")
    ]
    for name, when, value in marks:
        assert value == pytest.approx(1e3 * seconds_of(*LAYERS[name]) * (1 if when == "before" else 0.5), abs=1e-3)


def test_shades_of_a_table_grow_by_factors():
    page = parse(pruning_page(cut_result(), "niwaki prune"))
    figure = figure_called(page, "conv 3x3, 16 to 32")
    rows = rows_of(table_called(figure, "conv 3x3, 16 to 32: seconds"))
    assert list(rows) == ["1", "8", "16"]
    assert rows["16"][-1] == ("112 µs", "")
    low, high = seconds_of(1, 4), seconds_of(16, 32)
    wanted: dict[int, int] = {}
    for inputs in (1, 8, 16):
        for outputs in range(4, 33, 4):
            shade = int(10 * math.log(seconds_of(inputs, outputs) / low) / math.log(high / low))
            wanted[min(9, shade)] = wanted.get(min(9, shade), 0) + 1
    svg = figure.one("svg", "half")
    drawn = {}
    for path in svg.all("path", "heat"):
        (shade,) = [int(c.removeprefix("heat-")) for c in path.classes if c.startswith("heat-")]
        drawn[shade] = path.attributes["d"].count("M")
    assert drawn == wanted
    # The row of most inputs lies highest, and its tooltip tells both ends.
    covers = sorted(svg.all("rect", "cover"), key=lambda r: r.number("y"))
    assert covers[0].text == "16 inputs, 4 outputs: 22.8 µs; 32 outputs: 112 µs"


def test_long_keys_have_short_headings():
    found = latency()
    key = "batch_norm(float32[1,a,56,56], float32[a], 0.1, 1e-05, True) a=32"
    found["table"][-1]["key"] = key
    page = parse(pruning_page({**cut_result(), "latency": found}, "niwaki prune"))
    figure = figure_called(page, "batch norm, 32")
    assert table_called(figure, f"{key}: seconds")


def test_a_layer_of_one_width_is_a_strip():
    page = parse(pruning_page(cut_result(), "niwaki prune"))
    (cover,) = figure_called(page, "depthwise 3x3").one("svg", "half").all("rect", "cover")
    assert cover.text == "8 channels: 10 µs; 32 channels: 29 µs"


def test_no_gain_is_said_and_a_missed_budget_too():
    def lead(found):
        page = parse(pruning_page({**cut_result(), "latency": found}, "niwaki prune"))
        return page.one("section", id="latency").one("p", "lead").text

    assert lead(latency(0.99)).endswith("No gain here.")
    assert lead(latency(0.6)).endswith("That is more than the 0.5 asked for.")
    assert lead(latency(0.51)).endswith("(95 % interval 0.49 to 0.53).")


def test_without_a_table_there_is_what_was_measured(tmp_path):
    found = latency(0.6, asked=None, predicted=False)
    page = parse(
        pruning_page({**cut_result(latency=None, density=0.5), "latency": found, "budget": []}, "niwaki prune")
    )
    rows = rows_of(table_called(page, "Asked, predicted and measured"))
    assert rows == {
        "dense, measured": [("12.3 ms", ""), ("", "")],
        "measured": [("7.38 ms", ""), ("0.6", "0.58 to 0.62")],
    }
    assert "asked for 50 % of the units." in page.one("header").text
    assert "h3" not in [n.tag for n in page if n.text == "Time per layer"]


def test_what_is_damaged_in_a_latency_is_left_out():
    found = latency_of({"latency": {**latency(), "layers": [{"name": "a"}, 3], "table": [{"seconds": "x"}, *table()]}})
    assert found is not None
    assert found.layers == ()
    assert len(found.table) == len(table())
    assert latency_of({"latency": 3}) is None
    empty = latency_of({"latency": {"backend": "eager"}})
    assert empty is not None
    assert empty.ratio is None
    page = parse(pruning_page({**cut_result(), "latency": {"backend": "eager"}}, "niwaki prune"))
    assert "predicted, but not measured" in page.one("section", id="latency").text


def test_a_damaged_cut_is_refused(tmp_path):
    folder = make_cut(tmp_path / "cut")
    (folder / "result.json").write_text(json.dumps({"request": {"criterion": "taylor"}, "steps": {}}))
    with pytest.raises(StoreError, match=r"result.json is damaged \(KeyError.*; prune this model again"):
        write_report([folder], tmp_path / "report.html")
    (folder / "result.json").unlink()
    with pytest.raises(StoreError, match=r"config.json is missing"):
        write_report([folder], tmp_path / "report.html")


def test_names_are_escaped():
    groups = [{"name": "<b>", "kind": "channel", "units": 4, "kept": 2}]
    found = latency()
    found["table"][0]["key"] = "<script>"
    html = pruning_page({**cut_result(), "groups": groups, "latency": found}, "niwaki prune")
    assert "<script>" not in html
    assert "<b>" not in html
