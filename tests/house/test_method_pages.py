"""Every method has its page, and the page lists the switches the method has."""

from __future__ import annotations

import ast
import inspect
import re

import pytest

from niwaki import methods
from tests.house.source import ROOT

PAGES = ROOT / "docs" / "methods"
PARTS = ("In use", "Published", "Reached here", "differs", "## Switches")


@pytest.mark.parametrize("name", methods.__all__)
def test_the_page_has_all_its_parts(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8").lower()
    assert [part for part in (*PARTS, "idea", "formula") if part.lower() not in text] == []
    assert f"nw.{name}(" in text


@pytest.mark.parametrize("name", methods.__all__)
def test_the_page_lists_the_switches(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("## Switches")[2]
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    taken = list(inspect.signature(getattr(methods, name)).parameters)
    assert taken[:2] == ["model", "groups"]
    assert listed == taken[2:]


@pytest.mark.parametrize("name", methods.__all__)
def test_the_page_gives_the_defaults(name):
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition("## Switches")[2]
    for switch, stated in re.findall(r"^\| `(\w+)` \| `?([^|`]*)`? \|", text, re.MULTILINE):
        default = inspect.signature(getattr(methods, name)).parameters[switch].default
        if isinstance(default, bool | int | float | str):
            assert ast.literal_eval(stated) == default, switch
        else:
            assert (stated == "required") == (default is inspect.Parameter.empty), switch


def test_the_table_of_methods_is_complete():
    for page in (ROOT / "README.md", PAGES / "index.md"):
        text = page.read_text(encoding="utf-8")
        assert [name for name in methods.__all__ if f"`nw.{name}`" not in text] == [], page.name
