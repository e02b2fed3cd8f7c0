"""One word for one idea, and a few things that are never written."""

from __future__ import annotations

import ast
import builtins
import re
import sys
from pathlib import PurePosixPath

import pytest

from tests.house.source import CODE, package_sources, sources, texts

# Written in two parts, so that this file does not find itself.
WORD = "spars" + "ity"
MACHINE = re.compile("(?<![\\w.~-])(/(?:work|home|root|Users|mnt)/" + r"\w|[A-Z]:\\Users)")
DRAWERS = {"utils", "util", "misc", "helpers", "common"}


def _identifiers(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        names: list[str | None] = []
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=name):
                names = [name]
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names = [name]
            case ast.alias(name=name, asname=asname):
                names = [name, asname]
        found += [(getattr(node, "lineno", 0), name) for name in names if name]
    return found


def wrong_words(files: dict[str, str]) -> list[str]:
    named = [path for path in files if WORD in path.lower()]
    return named + [
        f"{path}:{line} {name}: say density, the share that stays"
        for path, source in files.items()
        for line, name in _identifiers(ast.parse(source))
        if WORD in name.lower()
    ]


def wrong_files(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        stem = PurePosixPath(path).stem
        if stem in DRAWERS or re.search(r"_v\d+$", stem):
            found.append(f"{path}: name it after its idea")
        elif not stem.startswith("__") and (stem in sys.stdlib_module_names or hasattr(builtins, stem)):
            found.append(f"{path}: that is the name of something in Python itself")
    return found


def swallowed(files: dict[str, str]) -> list[str]:
    found = []
    for path, source in files.items():
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            is_broad = node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}
            if node.type is None or (is_broad and all(isinstance(step, ast.Pass) for step in node.body)):
                found.append(f"{path}:{node.lineno}: say which error, and do not swallow it")
    return found


def torch_users(files: dict[str, str]) -> list[str]:
    """Files of the parts without torch that import it."""
    found = []
    for path, source in files.items():
        if path.split("/")[1] not in {"patterns", "causality"}:
            continue
        for node in ast.walk(ast.parse(source)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [path for name in names if name.split(".")[0] == "torch"]
    return found


def machine_paths(files: dict[str, str]) -> list[str]:
    return [
        f"{path}:{number} {line.strip()[:80]}"
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE.search(line)
    ]


def test_density_is_the_only_word():
    assert "\n".join(wrong_words(sources(*CODE))) == ""


def test_files_are_named_after_their_idea():
    assert "\n".join(wrong_files(list(package_sources()))) == ""


def test_no_error_is_swallowed():
    assert "\n".join(swallowed(sources(*CODE))) == ""


def test_statistics_know_nothing_of_torch():
    assert "\n".join(torch_users(package_sources())) == ""


def test_no_file_knows_a_machine():
    assert "\n".join(machine_paths(texts())) == ""


@pytest.mark.parametrize(
    "source", [f"{WORD} = 1", f"f({WORD}=1)", f"def f(max_{WORD}): ...", f"x.{WORD.upper()}", f"import a as {WORD}"]
)
def test_the_wrong_word_is_found(source):
    assert len(wrong_words({"a.py": source})) == 1


def test_the_wrong_word_may_stand_in_prose():
    assert wrong_words({"a.py": f'"""Papers say {WORD}."""\nx = "{WORD}"  # {WORD}'}) == []


def test_wrong_file_names_are_found():
    paths = ["niwaki/core/utils.py", "niwaki/moves/drop_v2.py", "niwaki/criteria/random.py", "niwaki/core/filter.py"]
    assert len(wrong_files(paths)) == 4
    assert wrong_files(["niwaki/core/__init__.py", "niwaki/core/group.py"]) == []


def test_swallowed_errors_are_found():
    assert len(swallowed({"a.py": "try:\n    f()\nexcept:\n    g()"})) == 1
    assert len(swallowed({"a.py": "try:\n    f()\nexcept Exception:\n    pass"})) == 1
    assert swallowed({"a.py": "try:\n    f()\nexcept OSError:\n    pass"}) == []


def test_torch_in_statistics_is_found():
    assert torch_users({"niwaki/patterns/mine.py": "def f():\n    from torch import nn"}) == ["niwaki/patterns/mine.py"]
    assert torch_users({"niwaki/causality/entropy.py": "import numpy, torch"}) == ["niwaki/causality/entropy.py"]
    assert torch_users({"niwaki/patterns/mine.py": "import numpy", "niwaki/core/group.py": "import torch"}) == []


def test_machine_paths_are_found():
    slash = "/"
    assert len(machine_paths({"a.md": f"see {slash}home/me/data", "b.py": f"open('{slash}work/x')"})) == 2
    assert machine_paths({"a.md": "see ./home/me, framework/x, https://example.org/home/page and ~/work/x"}) == []
