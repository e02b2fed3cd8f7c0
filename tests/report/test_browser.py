"""The page in a real browser: light and dark, narrow and wide, one run and many."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from niwaki.report import write_report
from tests.report.browser import Browser, find_browser
from tests.report.latent import make_cut
from tests.report.synthetic import make_run

WIDTHS = (360, 1400)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    binary = find_browser()
    if binary is None:
        pytest.skip("no browser: set CHROMIUM, or put chromium or google-chrome on PATH")
    return Browser(binary, tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    one = make_run(folder / "one")
    long = {"model": "zoo:" + "very_" * 30 + "long", "command": "niwaki train " + "x" * 300}
    switches = {"switches": {"explore_init": "mru_zero", "grow_init": "explored", "normalise": "layer_l2"}}
    many = [one, make_run(folder / "two", seed=1, config=switches), make_run(folder / "stopped", "gmp", stop=500)]
    many += [make_run(folder / f"{m}{d}", m, density=d) for m in ("rigl", "acdc", "static") for d in (0.1, 0.001)]
    many += [make_run(folder / "dense", "dense"), make_run(folder / ("wide" * 20), "static", config=long)]
    cuts = [make_cut(folder / f"cut{n}", 0.3 + 0.2 * n, 0.8 + 0.05 * n, latency=0.3 + 0.2 * n) for n in range(3)]
    return {
        "cut": write_report(cuts[:1], folder / "cut.html"),
        "cuts": write_report([*cuts, many[-2]], folder / "cuts.html"),
        "one": write_report([one], folder / "one.html"),
        "many": write_report(many, folder / "many.html"),
    }


def _pixels(path, left, right):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), dtype=float)[:, left:right]


@pytest.mark.parametrize("name", ["one", "many", "cut", "cuts"])
def test_nothing_is_wider_than_the_window(browser, pages, name):
    found = browser.measure(pages[name], (*WIDTHS, 800))
    assert sorted(int(width) for width in found) == [360, 800, 1400]
    for width, page in found.items():
        assert page["inner"] == int(width)
        assert page["scroll"] <= page["inner"], f"{width} pixels"
        assert page["shown"] >= {"one": 6, "many": 6, "cut": 7, "cuts": 4}[name]
        assert page["out"] == [], "labels stick out of their drawing"


@pytest.mark.parametrize("dark", [False, True])
def test_pages_are_drawn_in_both_themes(browser, pages, tmp_path, dark):
    picture = browser.picture(pages["one"], tmp_path / "page.png", WIDTHS, dark=dark)
    for left, width in ((0, WIDTHS[0]), (WIDTHS[0], WIDTHS[1])):
        pixels = _pixels(picture, left, left + width)
        light = pixels @ [0.2126, 0.7152, 0.0722]
        assert (np.median(light) < 50) if dark else (np.median(light) > 200)
        # Text and drawings are there, in the theme's own colours, from top to bottom.
        assert len(set(map(tuple, pixels[::5, ::5].reshape(-1, 3).tolist()))) > 60
        bands = np.array_split(np.abs(light - np.median(light)), 4)
        assert all((band > 60).mean() > 0.002 for band in bands)
        # Something is coloured: not everything is grey.
        assert (np.ptp(pixels, axis=2) > 60).mean() > 0.001


def test_the_theme_follows_the_reader(browser, pages):
    assert browser.measure(pages["one"], (800,), dark=True)["800"]["dark"] is True
    assert browser.measure(pages["one"], (800,), dark=False)["800"]["dark"] is False
