"""The page of the command line lists every command, and of each command every option."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from niwaki.app.cli import app
from tests.house.source import ROOT

COMMANDS = get_command(app).commands


def _listed() -> dict[str, set[str]]:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8").partition("## Options")[2]
    parts = re.split(r"^### `niwaki (\w+)[^`]*`$", text, flags=re.MULTILINE)
    found = {}
    for name, part in zip(parts[1::2], parts[2::2], strict=True):
        cells = re.findall(r"^\| (`-.*?) \|", part, re.MULTILINE)
        found[name] = {option for cell in cells for option in re.findall(r"`(-[\w-]+)`", cell)}
    return found


def test_every_command_is_listed():
    assert _listed().keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_listed(name):
    taken = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("-")}
    assert _listed()[name] == taken - {"--help"}
