"""Every Python block of the README and the docs runs."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from tests.house.source import ROOT

START = ROOT / "docs" / "start.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A comment above a block may say that it does not run, and why; or that it is what every page starts from.
_BLOCK = re.compile(
    r"^(?: *<!-- (?P<note>not run: \S[^\n]*?|setting) -->\n+)?"
    r"(?P<indent> *)```python[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


def _run(code: str, path: Path, space: dict[str, object]) -> None:
    exec(compile(code, str(path), "exec", dont_inherit=True), space)


def code_of(page: str) -> str:
    """The blocks of a page as one program, each on its own lines, so that an error names the line of the page."""
    lines = [""] * (page.count("\n") + 1)
    for block in _BLOCK.finditer(page):
        if block["note"] is None:
            first = page[: block.start("code")].count("\n")
            code = textwrap.dedent(block["code"]).splitlines()
            lines[first : first + len(code)] = code
    return "\n".join(lines)


def setting() -> str:
    """The block that every page but the README starts from."""
    (found,) = [block for block in _BLOCK.finditer(START.read_text(encoding="utf-8")) if block["note"] == "setting"]
    return textwrap.dedent(found["code"])


@pytest.mark.filterwarnings("ignore:the timings of")  # the machine that runs the tests need not be quiet
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = code_of(page.read_text(encoding="utf-8"))
    if not code.strip():
        pytest.skip("no Python on this page")
    space: dict[str, object] = {"__name__": "example"}
    if page != ROOT / "README.md":
        _run(setting(), START, space)
    _run(code, page, space)
    assert "nw" in space


def test_every_block_is_found():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = len(re.findall(r"^ *```python", text, re.MULTILINE))
        assert len(list(_BLOCK.finditer(text))) == fences, page.name


def test_a_block_that_fails_is_found():
    page = "words\n\n```python\nx = 1\n```\n\n    ```python\n    y = x + z\n    ```\n"
    with pytest.raises(NameError, match="'z'") as caught:
        _run(code_of(page), Path("page.md"), {})
    assert caught.traceback[-1].lineno == 7  # the eighth line, counted from zero


def test_a_marked_block_is_skipped():
    assert code_of("<!-- not run: needs two machines -->\n\n```python\n1 / 0\n```\n").strip() == ""
    assert code_of("<!-- another comment -->\n\n```python\n1 / 0\n```\n").strip() == "1 / 0"
    assert code_of("<!-- not run: -->\n```python\n1 / 0\n```\n").strip() == "1 / 0"


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
            assert Path(page.parent, target).exists(), f"{page.name} links to {target}"
