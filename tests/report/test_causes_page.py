"""The page about causes: network, matrix, ranking, and what it says of its limits."""

from __future__ import annotations

import numpy as np
import pytest

from niwaki.report.causes_page import causes_page, write_causes_page
from tests.report.browser import Browser, find_browser
from tests.report.found import cause_facts
from tests.report.parsed import inverse, parse, rows_of


@pytest.fixture(scope="module")
def facts():
    return cause_facts()


@pytest.fixture(scope="module")
def page(facts):
    return parse(causes_page(facts))


def test_the_network_draws_the_significant_edges(facts, page):
    svg = page.one("section", id="network").one("svg", "wide")
    place = {name: at for at, name in enumerate(facts.names)}
    drawn = {(int(arrow.number("data-from")), int(arrow.number("data-to"))) for arrow in svg.all("g", "arrow")}
    assert drawn == {(place[e.source], place[e.target]) for e in facts.edges if e.significant}
    assert [hub.attributes["data-name"] for hub in svg.all("circle", "hub")] == list(facts.names)
    # True edges are green, the others orange; the highest score is the thickest line.
    tones = {
        "tone-0" in a.classes: (int(a.number("data-from")), int(a.number("data-to"))) for a in svg.all("g", "arrow")
    }
    assert set(tones) == {True, False}
    thick = max(svg.all("g", "arrow"), key=lambda a: a.one("path", "shaft").number("stroke-width"))
    best = facts.edges[0]
    assert (int(thick.number("data-from")), int(thick.number("data-to"))) == (place[best.source], place[best.target])
    assert "7 of the 7 true edges are among these" in page.one("section", id="network").text


def test_arrows_end_at_their_effects(facts, page):
    svg = page.one("section", id="network").one("svg", "wide")
    hubs = [(hub.number("cx"), hub.number("cy")) for hub in svg.all("circle", "hub")]
    for arrow in svg.all("g", "arrow"):
        tip = arrow.one("path", "head").attributes["d"].removeprefix("M").split("L")[0]
        x, y = map(float, tip.split())
        distances = [np.hypot(x - a, y - b) for a, b in hubs]
        assert int(np.argmin(distances)) == int(arrow.number("data-to"))


def test_the_matrix_holds_every_score(facts, page):
    svg = page.one("section", id="matrix").one("svg", "wide")
    covers = svg.all("rect", "cover")
    values = [cover.number("data-value") for cover in covers]
    off = facts.values[~np.eye(len(facts.names), dtype=bool)]
    assert values == off.tolist()
    first = covers[0]
    assert first.text == f"v0 → v1: {facts.values[0, 1]:.3g}"
    marked = {tuple(map(int, rect.attributes["data-pair"].split())) for rect in svg.all("rect", "marked")}
    assert marked == {(at, at + 1) for at in range(7)}
    # Shades follow the scores: the lowest and the highest have the first and the last.
    cells = {shade: svg.all("path", f"heat-{shade}") for shade in (0, 9)}
    assert all(len(found) == 1 for found in cells.values())


def test_the_ranking_is_in_order(facts, page):
    section = page.one("section", id="ranking")
    svg = section.one("svg", "wide")
    bars = svg.all("rect", "bar")
    assert [bar.attributes["data-row"] for bar in bars] == [edge.words for edge in facts.edges[:25]]
    back = inverse(svg, "x")
    for bar, edge in zip(bars, facts.edges, strict=False):
        assert back(bar.number("x") + bar.number("width")) == pytest.approx(edge.score, abs=0.01)
    rows = rows_of(section.one("table"))
    assert list(rows) == [f"{at}. {edge.words}" for at, edge in enumerate(facts.edges, 1)]


def test_the_top_says_how_well_the_truth_is_met(page):
    assert page.one("h1").text == "9 edges of 56 between 8 variables"
    tiles = {tile.one("dt").text: tile.one("dd").text for tile in page.one("dl", "tiles").all("div")}
    assert tiles["AUROC"] == "0.980.5 for blind guessing" and tiles["AUPR"] == "0.910.125 for blind guessing"
    assert "'v3' is constant: nothing can be said of it, its scores are 0." in page.one("section", id="limits").text


def test_without_test_and_truth_the_strongest_are_drawn():
    facts = cause_facts(test=False, truth=False)
    page = parse(causes_page(facts))
    assert page.one("h1").text == f"{facts.edges[0].words} scores highest"
    assert "Scores are ranked, not tested" in page.text
    svg = page.one("section", id="network").one("svg", "wide")
    assert len(svg.all("g", "arrow")) == len(facts.names)
    assert not page.one("section", id="matrix").one("svg", "wide").all("rect", "marked")
    assert "AUROC" not in page.text


def test_many_variables_stay_a_page_of_bounded_size():
    page = parse(causes_page(cause_facts(60)))
    assert len(page.one("section", id="matrix").one("svg", "wide").all("rect", "cover")) == 60
    assert len(rows_of(page.one("section", id="ranking").one("table"))) == 400


def test_two_variables_without_an_edge():
    facts = cause_facts(2)
    none = type(facts)(**{**vars(facts), "edges": [type(e)(e.source, e.target, e.score, 0.5, 0.5, False, e.true)
                                                   for e in facts.edges]})  # fmt: skip
    page = parse(causes_page(none))
    assert page.one("section", id="network").one("p", "missing").text == "No edge is significant."


@pytest.mark.parametrize(("count", "long"), [(8, False), (40, True)])
def test_nothing_is_wider_than_the_window(tmp_path, count, long):
    binary = find_browser()
    if binary is None:
        pytest.skip("no browser: set CHROMIUM, or put chromium or google-chrome on PATH")
    page = write_causes_page(cause_facts(count, long=long), tmp_path / "page.html")
    found = Browser(binary, tmp_path).measure(page, (360, 800, 1400), dark=long)
    for width, seen in found.items():
        assert seen["scroll"] <= seen["inner"] == int(width)
        assert seen["shown"] == 3 and seen["out"] == [] and seen["dark"] is long
