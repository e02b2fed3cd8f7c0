"""The page as it is written: nothing from outside, everything escaped, tables that say what numpy says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from niwaki.core.errors import StoreError
from niwaki.report import write_report
from tests.report.parsed import figure_called, parse, records, result, rows_of, table_called, words_of
from tests.report.synthetic import LAYERS, SIZE, make_run

METHODS = ("dense", "iee", "rigl")
SECTIONS = ["reached", "efficiency", "learning", "layers", "structure", "costs", "reproduce"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {m: [make_run(folder / f"{m}-{s}", m, seed=s) for s in range(3)] for m in METHODS}


@pytest.fixture(scope="module")
def html(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "new" / "report.html"
    assert write_report([run for some in runs.values() for run in some], out) == out
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html):
    return parse(html)


def _page_of(folder, *runs):
    return parse(write_report(runs, folder / "report.html").read_text(encoding="utf-8"))


def test_nothing_comes_from_outside(html, page):
    assert not re.search(r"https?:|//[a-z]", html.replace("</", ""))
    assert "@import" not in html
    # Drawings clip with url(#...), which points into the page itself; a scheme of "data:" asks nobody.
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert [link.attributes["href"] for link in page.all("link")] == ["data:,"]
    for tag in ("script", "img", "iframe", "object", "embed", "video", "audio", "source"):
        assert page.all(tag) == []
    assert not [node.tag for node in page if {"src", "srcset"} & node.attributes.keys()]
    assert all(a.attributes["href"].startswith("#") for a in page.all("a"))


def test_all_sections_are_there_and_linked(page):
    assert [s.attributes["id"] for s in page.all("section")] == SECTIONS
    assert [a.attributes["href"] for a in page.one("nav").all("a")] == [f"#{name}" for name in SECTIONS]


def test_every_drawing_is_sound_and_has_a_name_and_a_description(html, page):
    drawings = page.all("svg", "chart")
    assert len(drawings) > 10
    idents = [node.attributes["id"] for node in page if "id" in node.attributes]
    assert len(idents) == len(set(idents))
    for svg in drawings:
        assert svg.attributes["role"] == "img"
        names = svg.attributes["aria-labelledby"].split()
        inside = {n.attributes["id"]: n.text for n in svg if "id" in n.attributes}
        assert len(names) == 2
        assert all(inside[name].strip() for name in names)
    for source in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ET.fromstring(source)


def test_every_figure_of_data_has_a_caption_and_a_table(page):
    for figure in page.one("main").all("figure"):
        assert figure.one("figcaption").text.strip()
        if figure.all("h3") and figure.one("h3").text != "Time by stage":
            assert figure.all("table")


def test_the_table_of_results_says_what_numpy_says(runs, page):
    rows = rows_of(page.one("section", id="reached").one("table"))
    assert list(rows) == ["Dense", "IEE 5 %", "RigL 5 %"]
    means = {m: np.mean([result(run)["accuracy"] for run in runs[m]]) for m in METHODS}
    for cells, method in zip(rows.values(), METHODS, strict=True):
        found = [result(run) for run in runs[method]]
        low, high = (100 * f([r["accuracy"] for r in found]) for f in (min, max))
        assert cells[0] == (f"{100 * means[method]:.2f} %", f"{low:.2f}–{high:.2f} %")
        if method != "dense":
            difference = f"{100 * (means[method] - means['dense']):+.2f} points"
            assert cells[1] == (difference.replace("-", "\N{MINUS SIGN}"), "")
        assert cells[2] == ("3", "0, 1 and 2")
        cost = np.mean([r["dense_runs"] for r in found])
        assert cells[4][0] == f"{float(f'{cost:.3g}'):g}× dense"
    assert rows["IEE 5 %"][3] == ("5 %", f"{round(0.05 * SIZE)} of {SIZE:,}")


def test_the_headline_says_the_same(runs, page):
    tiles = {words_of(t)[0]: words_of(d) for t, d in zip(page.all("dt"), page.all("dd"), strict=True)}
    best = 100 * np.mean([result(run)["accuracy"] for run in runs["iee"]])
    assert tiles["Accuracy"][0] == f"{best:.1f} %"
    assert tiles["Weights kept"][0] == "5 %"
    assert page.one("h1").text == "Dense, IEE and RigL on digits"
    assert "9 runs of zoo:resnet20 at density 5 %, 3 seeds each. IEE 5 % is best." in page.one("header").text


def test_the_field_of_dots_has_as_many_filled_as_weights_are_left(page):
    svg = page.one("header").one("svg", "chart", "mask")
    here, gone = (svg.one("path", name).attributes["d"].count("M") for name in ("here", "gone"))
    assert (here, gone) == (50, 950)


def test_accuracy_at_the_same_flops_is_read_off_the_curves(runs, page):
    rows = rows_of(table_called(page, "Accuracy at equal steps and at equal training FLOPs"))
    lines = {m: [[(r["flops"], r["accuracy"]) for r in records(run, "eval")] for run in runs[m]] for m in METHODS}
    budget = min(line[-1][0] for some in lines.values() for line in some)
    for cells, method in zip(rows.values(), METHODS, strict=True):
        at_budget = [np.interp(budget, *np.array(line).T) for line in lines[method]]
        assert cells[0][0] == f"{100 * np.mean([line[-1][1] for line in lines[method]]):.2f} %"
        assert cells[1][0] == f"{100 * np.mean(at_budget):.2f} %"


def test_the_cost_of_each_stage_is_that_of_the_ledgers(runs, page):
    figure = figure_called(page, "Training FLOPs by stage")
    svg = figure.one("svg", "wide")
    for run_row, method in (("IEE 5\N{NO-BREAK SPACE}%", "iee"), ("Dense", "dense")):
        ledgers = [json.loads((run / "ledger.json").read_text())["stages"] for run in runs[method]]
        parts = [r for r in svg.all("rect", "part") if r.attributes["data-row"] == run_row]
        assert [p.attributes["data-stage"] for p in parts] == list(ledgers[0])
        for part in parts:
            stage = part.attributes["data-stage"]
            assert part.number("data-length") == pytest.approx(np.mean([led[stage]["flops"] for led in ledgers]))


def test_a_single_run_is_told_in_one_sentence(tmp_path):
    folder = make_run(tmp_path / "a")
    page = _page_of(tmp_path, folder)
    accuracy = 100 * result(folder)["accuracy"]
    assert page.one("h1").text == f"IEE reaches {accuracy:.1f} % on digits with 5 % of its weights"
    assert "as soon as two methods or densities can be compared" in page.one("section", id="efficiency").text
    settings = rows_of(table_called(page, "Settings"))
    assert settings["batch"] == [("24", "")]
    assert page.one("code").text == "niwaki train --method iee --density 0.05 --steps 1200 --seed 0"
    assert rows_of(table_called(page, "Versions and machine"))["torch"] == [("2.15.0", "")]
    stages = rows_of(table_called(page, "By stage"))
    ledger = json.loads((folder / "ledger.json").read_text())
    assert {name: cells[0][0] for name, cells in stages.items() if name != "all"} == {
        name: str(entry["steps"]) for name, entry in ledger["stages"].items()
    }
    assert stages["all"][0] == ("1,200", "")


def test_a_killed_run_says_so_and_leaves_out_what_it_lacks(tmp_path):
    page = _page_of(tmp_path, make_run(tmp_path / "a", stop=430))
    assert "has so far reached" in page.one("h1").text
    assert "still running or stopped: it stands at step 429 of 1,200" in page.text
    assert "The ledger is written at the end of a run; no run here has one yet." in page.text
    assert figure_called(page, "Accuracy over steps")


def test_flops_that_are_unknown_are_said_and_not_drawn(tmp_path):
    known, other = make_run(tmp_path / "a"), make_run(tmp_path / "b", "static")
    page = _page_of(tmp_path, known, other, make_run(tmp_path / "c", "rigl", flops=False))
    section = page.one("section", id="efficiency")
    assert "Not drawn: RigL 5 %, whose training FLOPs or accuracy are unknown." in section.text
    assert len(section.one("svg", "wide").all("path", "point")) == 2
    assert ("unknown", "FLOPs were not counted") in rows_of(page.one("section", id="reached").one("table"))["RigL 5 %"]


def test_runs_of_different_models_are_no_comparison_of_cost(tmp_path):
    one, other = make_run(tmp_path / "a"), make_run(tmp_path / "b", "static")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model": "zoo:another"}))
    section = _page_of(tmp_path, one, other).one("section", id="efficiency")
    assert "as soon as two methods or densities on one model and data can be compared." in section.text
    assert not section.all("svg", "wide")


def test_the_results_are_not_mixed_up_with_what_the_curves_show(tmp_path):
    runs = [make_run(tmp_path / f"{m}", m, split=True) for m in ("iee", "static")]
    page = _page_of(tmp_path, *runs)
    table = page.one("section", id="reached").one("table")
    assert [th.text for th in table.one("thead").all("th")][1] == "Test accuracy"
    spending = table_called(page, "Validation accuracy at equal steps and at equal training FLOPs")
    for run, name in zip(runs, ("IEE 5 %", "Static 5 %"), strict=True):
        assert rows_of(table)[name][0][0] == f"{100 * result(run)['accuracy']:.2f} %"
        assert rows_of(spending)[name][0][0] == f"{100 * records(run, 'eval')[-1]['accuracy']:.2f} %"
        assert result(run)["accuracy"] != records(run, "eval")[-1]["accuracy"]
    assert figure_called(page, "Validation accuracy over steps")
    assert "Curves show the validation accuracy; the results are the test accuracy" in page.text
    killed = _page_of(tmp_path, make_run(tmp_path / "c", stop=430, split=True))
    assert "validation accuracy so far" in killed.one("section", id="reached").text
    assert "Validation accuracy" in killed.one("header").text


def test_dense_runs_alone_have_no_structure(tmp_path):
    page = _page_of(tmp_path, make_run(tmp_path / "a", "dense"))
    assert "No run here changed its structure" in page.one("section", id="structure").text
    assert page.one("header").all("svg", "mask") == []


def test_names_cannot_break_out(tmp_path):
    evil = '<script>alert("1")</script>'
    config = {"model": evil, "data": f"d{evil}", "command": f"niwaki train {evil}", "method": "static", "lr": evil}
    folder = make_run(tmp_path / "x<img src=1 onerror=alert(1)>", "static", config=config)
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text().replace('"stage": "train"', f'"stage": {json.dumps(evil)}'))
    found = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(found | {"densities": {f'"{evil}': 0.5, "b": 0.1}}))
    other = make_run(tmp_path / "b", "rigl", config=config | {"method": evil})
    html = write_report([folder, other], tmp_path / "report.html").read_text()
    page = parse(html)
    assert page.all("script") == []
    assert page.all("img") == []
    assert "alert(&#34;1&#34;)" in html
    assert page.one("section", id="learning").all("rect", "stage-other")
    assert [code.text for code in page.all("code")] == [f"niwaki train {evil}"]
    assert f'"{evil}' in rows_of(figure_called(page, "Density per layer at the end").one("table"))


def test_what_happens_many_times_stays_light(tmp_path):
    many = [
        make_run(tmp_path / f"{m}-{d}-{s}", m, density=d, seed=s, steps=900, every=30)
        for m in ("iee", "rigl", "gmp", "acdc", "static")
        for d in (0.1, 0.05)
        for s in range(3)
    ]
    out = write_report(many, tmp_path / "report.html")
    assert out.stat().st_size < 700_000
    page = parse(out.read_text(encoding="utf-8"))
    assert [t.all("caption")[0].text for t in page.one("section", id="reached").all("table")] == [
        "Density 10 %",
        "Density 5 %",
    ]


def test_a_long_run_stays_light_and_is_folded(tmp_path):
    out = write_report([make_run(tmp_path / "a", steps=20_000, every=20, cycle=(15, 15, 5))], tmp_path / "report.html")
    assert out.stat().st_size < 500_000
    page = parse(out.read_text(encoding="utf-8"))
    shades = figure_called(page, "Loss over steps").one("svg", "wide").all("rect", "shade")
    # 428 cycles of 35 steps in three quarters of the run.
    assert [(s.attributes["data-stage"], s.number("data-begin"), s.number("data-end")) for s in shades] == [
        ("cycles of estimate, improve and explore", 0, 428 * 35),
        ("train", 428 * 35, 20_000),
    ]


@pytest.mark.parametrize("keep", ["", "train", "eval", "move"])
def test_runs_with_hardly_any_records_have_a_page(tmp_path, keep):
    folder = make_run(tmp_path / "a", steps=600)
    lines = [line for line in (folder / "metrics.jsonl").read_text().splitlines() if f'"kind": "{keep}"' in line]
    (folder / "metrics.jsonl").write_text("".join(f"{line}\n" for line in lines))
    page = _page_of(tmp_path, folder)
    assert len(page.all("section")) == len(SECTIONS)
    missing = "Nothing was measured yet" in page.one("section", id="learning").text
    assert missing == (keep in {"", "move"})


def test_a_folder_takes_the_report_and_the_old_one_is_replaced(tmp_path):
    folder = make_run(tmp_path / "a", steps=600)
    assert write_report([folder], folder) == folder / "report.html"
    before = (folder / "report.html").read_text()
    assert write_report([folder], folder).read_text() == before
    assert sorted(path.suffix for path in folder.iterdir()) == [".html", ".json", ".json", ".json", ".json", ".jsonl"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    folder = make_run(tmp_path / "a", steps=600)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write the report to .*free some space or choose another place"):
        write_report([folder], tmp_path / "file" / "report.html")
    assert (tmp_path / "file").read_text() == "in the way"


def test_layers_are_listed_with_their_density(runs, page):
    rows = rows_of(figure_called(page, "Density per layer at the end").one("table"))
    assert list(rows) == list(LAYERS)
    for name, cells in rows.items():
        mean = np.mean([result(run)["densities"][name] for run in runs["iee"]])
        assert cells[0][0] == f"{float(f'{100 * mean:.3g}'):g} %"
