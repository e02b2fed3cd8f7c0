"""Every public name says what it is, and stands in the API reference."""

from __future__ import annotations

import inspect
import re
import types

import pytest

import niwaki
from tests.house.source import ROOT

NAMES = [name for name in getattr(niwaki, "__all__", []) if not name.startswith("__")]


def _documented() -> dict[str, str]:
    """Where each name of the API page is defined."""
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    return {path.rpartition(".")[2]: path for path in re.findall(r"^::: (\S+)$", page, re.MULTILINE)}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_a_docstring(name):
    thing = getattr(niwaki, name)
    if isinstance(thing, type | types.FunctionType | types.ModuleType):
        # Not the one a dataclass makes up from its fields.
        text = inspect.getdoc(thing) or ""
        assert text
        assert not text.startswith(f"{name}(")
    else:
        assert thing is not None


def test_the_api_page_lists_the_public_names():
    assert _documented().keys() == set(NAMES)


def test_the_api_page_describes_what_is_public():
    # By the place of definition: `niwaki.signals.score` is both a function and the file it stands in.
    for name, path in _documented().items():
        thing = getattr(niwaki, name)
        assert path == f"{thing.__module__}.{thing.__qualname__}"


def test_the_list_is_sorted_and_complete():
    assert sorted(NAMES) == sorted(set(NAMES))
    assert all(hasattr(niwaki, name) for name in NAMES)
