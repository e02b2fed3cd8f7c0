"""Imports of the package go downwards only."""

from __future__ import annotations

import ast

import pytest

from tests.house.source import package_sources

LAYERS = {
    "core": 0, "patterns": 0, "causality": 0,
    "structure": 1, "signals": 1, "criteria": 1, "allocate": 1, "measure": 1, "moves": 1,
    "bayes": 2, "train": 2, "store": 2, "report": 2,
    "search": 3,
    "methods": 4,
    "zoo": 5,
    "app": 6,  # the command line offers the networks of the zoo
}  # fmt: skip

# The statistics stand beside the rest, without torch; these alone may look into them (the command line runs them).
VISITORS = {
    "causality": ("niwaki/signals/causal.py", "niwaki/app/"),
    "patterns": ("niwaki/report/subgroups.py", "niwaki/app/"),
}


def _absolute(path: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = path.removesuffix(".py").split("/")[:-1]
    base = package[: len(package) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _imports(path: str, source: str) -> list[tuple[int, str]]:
    """Line and dotted name of every import, at the top, inside functions and under ``TYPE_CHECKING`` alike."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(path, node)
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
        elif isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func) and node.args:
            if isinstance(node.args[0], ast.Constant):
                found.append((node.lineno, str(node.args[0].value)))
    return found


def _verdict(path: str, name: str) -> str | None:
    """What is wrong with a file of the package importing a name, if anything."""
    parts = name.split(".")
    here = path.split("/")[1]
    if parts[0] != "niwaki" or here in ("__init__.py", "public.py"):
        return None
    there = parts[1] if len(parts) > 1 else ""
    if there not in LAYERS:
        return None if there == "__version__" else "the package root holds the public list and imports everything"
    if here == "__main__.py" or here == there:
        return None
    if LAYERS[there] >= LAYERS[here]:
        return f"layer {LAYERS[here]} may only use what lies below, {there} is layer {LAYERS[there]}"
    if there in VISITORS and not path.startswith(VISITORS[there]):
        return f"only {' and '.join(VISITORS[there])} may use {there}"
    return None


def violations(files: dict[str, str]) -> list[str]:
    return [
        f"{path}:{line} imports {name}: {wrong}"
        for path, source in files.items()
        for line, name in _imports(path, source)
        if (wrong := _verdict(path, name))
    ]


def test_imports_go_downwards():
    assert "\n".join(violations(package_sources())) == ""


def test_every_folder_has_its_layer():
    folders = {path.split("/")[1] for path in package_sources() if path.count("/") > 1}
    assert folders <= LAYERS.keys()


@pytest.mark.parametrize(
    ("path", "line", "why"),
    [
        ("niwaki/core/group.py", "from ..moves import Drop", "layer 0 may only use what lies below"),
        ("niwaki/moves/drop.py", "from ..allocate.ranked import top", "layer 1 may only use what lies below"),
        ("niwaki/moves/drop.py", "from .. import allocate", "layer 1 may only use what lies below"),
        ("niwaki/moves/__init__.py", "from ..allocate import top", "layer 1 may only use what lies below"),
        (
            "niwaki/train/sparsifier.py",
            "def f():\n    from niwaki.methods import iee",
            "2 may only use what lies below",
        ),
        ("niwaki/train/sparsifier.py", "import niwaki.report.page", "layer 2 may only use what lies below"),
        ("niwaki/store/save.py", "import importlib\nimportlib.import_module('niwaki.app')", "2 may only use"),
        (
            "niwaki/train/sparsifier.py",
            "if TYPE_CHECKING:\n    from ..search import x",
            "2 may only use what lies below",
        ),
        ("niwaki/core/group.py", "from ..patterns import mine", "layer 0 may only use what lies below"),
        ("niwaki/methods/iee.py", "from ..patterns import mine", "only niwaki/report/subgroups.py"),
        ("niwaki/app/demo.py", "from .. import weights", "the package root holds the public list"),
        ("niwaki/app/demo.py", "import niwaki", "the package root holds the public list"),
    ],
)
def test_a_forbidden_import_is_found(path, line, why):
    (found,) = violations({path: line})
    assert path in found
    assert why in found


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("niwaki/moves/drop.py", "from ..core.group import Group"),
        ("niwaki/moves/drop.py", "from .pools import lowest"),
        ("niwaki/methods/iee.py", "from ..train import Sparsifier"),
        ("niwaki/signals/causal.py", "from ..causality import entropy"),
        ("niwaki/report/subgroups.py", "from ..patterns import mine"),
        ("niwaki/app/demo.py", "from .. import __version__"),
        ("niwaki/__init__.py", "from .app import anything"),
        ("niwaki/core/group.py", "import torch"),
    ],
)
def test_an_allowed_import_is_let_through(path, line):
    assert violations({path: line}) == []
