"""The page about patterns: its numbers, its drawings, and what it says when there is nothing."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from niwaki.core.errors import StoreError
from niwaki.report.charts.lattice import Node, covers
from niwaki.report.patterns_page import patterns_page, write_patterns_page
from tests.report.browser import Browser, find_browser
from tests.report.found import pattern_facts
from tests.report.parsed import inverse, parse, rows_of


@pytest.fixture(scope="module")
def facts():
    return pattern_facts()


@pytest.fixture(scope="module")
def page(facts):
    return parse(patterns_page(facts))


def test_the_table_lists_the_surest_first(facts, page):
    first, rest = page.one("section", id="found").all("table")
    rows = {**rows_of(first), **rows_of(rest)}
    assert list(rows) == [f"{at}. {found.words}" for at, found in enumerate(facts.patterns, 1)]
    assert len(rows_of(first)) == 25
    found = facts.patterns[0]
    cells = rows[f"1. {found.words}"]
    assert cells[3] == (str(found.support), f"{100 * found.support / 1000:.1f} %")
    assert cells[4][0] == str(found.cases)
    assert float(cells[0][0].rstrip("×")) == pytest.approx(found.odds_ratio, rel=1e-2)


def test_the_volcano_shows_odds_and_p(facts, page):
    svg = page.one("section", id="volcano").one("svg", "wide")
    marks = svg.all("path", "point")
    assert len(marks) == len(facts.patterns)
    x, y = inverse(svg, "x"), inverse(svg, "y")
    for mark, found in zip(marks, facts.patterns, strict=True):
        # The path of a disc begins at its left edge.
        left, middle = mark.attributes["d"].removeprefix("M").split("a")[0].split()
        assert x(float(left) + 3.6) == pytest.approx(math.log2(found.odds_ratio), abs=0.02)
        assert y(float(middle)) == pytest.approx(-math.log10(found.p), abs=0.1)
        assert ("tone-0" in mark.classes) == (found.odds_ratio >= 1)
        assert found.words in mark.text


def test_very_many_patterns_give_a_page_of_bounded_size():
    few, many = pattern_facts(200), pattern_facts(200)
    crowd = [found for at in range(100) for found in many.patterns]
    large = patterns_page(type(few)(**{**vars(few), "others": crowd, "count": 20_200}))
    assert len(large) < 2 * len(patterns_page(few))
    assert "20,200 combinations of features" in large and "of 20,200 are drawn" in large


def test_the_lattice_links_each_pattern_to_the_next_larger(facts, page):
    svg = page.one("section", id="lattice").one("svg", "wide")
    shown = [frozenset(found.items) for found in facts.patterns[:40]]
    assert len(svg.all("circle", "node")) == 40
    links = {tuple(map(int, link.attributes["data-link"].split())) for link in svg.all("path", "link")}
    expected = {
        (i, j) for i, a in enumerate(shown) for j, b in enumerate(shown) if a < b and not any(a < c < b for c in shown)
    }
    assert links == expected and links
    rows = sorted({circle.number("cy") for circle in svg.all("circle", "node")})
    assert len(rows) == len({len(items) for items in shown}) and all(b - a > 30 for a, b in pairwise(rows))


def test_a_chain_has_no_shortcut():
    nodes = [Node(frozenset(items), "", "", 1.0) for items in ("abc", "a", "ab", "bd")]
    assert sorted(covers(nodes)) == [(1, 2), (2, 0)]


def test_the_inflation_plot_has_both_curves_and_the_line(facts, page):
    svg = page.one("section", id="inflation").one("svg", "wide")
    assert len(svg.all("path", "point")) == 120
    for tone, quantiles in enumerate(facts.quantiles):
        marks = svg.all("path", "point", f"tone-{tone}")
        assert [mark.number("data-x") for mark in marks] == list(quantiles.expected)
        assert [mark.number("data-y") for mark in marks] == list(quantiles.observed)
    assert len(svg.all("path", "expected")) == 1
    text = page.one("section", id="inflation").text
    assert "within the strata: inflation 1.02" in text and "without the covariate: inflation 2.76" in text


def test_the_page_tells_data_strata_and_command(facts, page):
    data = page.one("section", id="data")
    (table,) = data.all("table")
    assert rows_of(table) == {
        "Female": [("400", ""), ("50", ""), ("12.5 %", "")],
        "Male": [("600", ""), ("220", ""), ("36.7 %", "")],
    }
    assert "No item: x=1 and y=1 holds for every sample." in data.text
    assert "age: 3 of 1000 values are missing." in data.text
    assert data.one("code").text == facts.command


def test_nothing_found_and_nothing_finished():
    nothing = parse(patterns_page(pattern_facts(0)))
    assert nothing.one("h1").text == "No combination of features goes with income is >50K"
    assert "No pattern is significant at a level of 1.4e−05." in nothing.text
    part = parse(patterns_page(pattern_facts(3, complete=False)))
    assert part.one("h1").text == "3 combinations of features go with income is >50K so far"
    assert "what is listed is proven, but it is not all there is" in part.text
    assert "The search was stopped before its p-values were all known." in part.text
    one = parse(patterns_page(pattern_facts(1, covariate="")))
    assert one.one("h1").text.startswith("1 combination of features goes with")
    assert one.one("section", id="data").all("table") == []


def test_names_are_escaped(page):
    assert "f3=<&>" in page.text
    assert not page.all("script")


def test_the_page_is_one_file_in_one_step(facts, tmp_path):
    path = write_patterns_page(facts, tmp_path / "deep" / "report.html")
    text = path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    assert "http://" not in text and "https://" not in text and "<script" not in text
    with pytest.raises(StoreError, match="cannot write the report to"):
        write_patterns_page(facts, path / "report.html")


@pytest.mark.parametrize("long", [False, True])
def test_nothing_is_wider_than_the_window(tmp_path, long):
    binary = find_browser()
    if binary is None:
        pytest.skip("no browser: set CHROMIUM, or put chromium or google-chrome on PATH")
    page = write_patterns_page(pattern_facts(300, long=long), tmp_path / "page.html")
    found = Browser(binary, tmp_path).measure(page, (360, 800, 1400), dark=long)
    for width, seen in found.items():
        assert seen["scroll"] <= seen["inner"] == int(width)
        assert seen["shown"] == 3 and seen["out"] == [] and seen["dark"] is long
