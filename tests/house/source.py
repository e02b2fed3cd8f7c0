"""The files that the rules of the house are read from."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "niwaki"
CODE = ("src", "tests", "benchmarks")
_TEXT = (".py", ".md", ".toml", ".yml", ".yaml", ".json", ".txt", ".html", ".css", ".js", ".cfg")


def sources(*folders: str) -> dict[str, str]:
    """Python source by path relative to the root."""
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in found}


def package_sources() -> dict[str, str]:
    """Python source of the package by path relative to ``src/``."""
    return {path.removeprefix("src/"): text for path, text in sources("src").items()}


def texts() -> dict[str, str]:
    """Every text file of the project by path relative to the root."""
    tops = [p for p in ROOT.iterdir() if p.is_file() and (p.suffix in _TEXT or p.name == "Makefile")]
    folders = [ROOT / name for name in (*CODE, "docs", ".ci", ".github")]
    below = [p for folder in folders for p in folder.rglob("*") if p.is_file() and p.parent.name != "__pycache__"]
    found = [p for p in [*tops, *below] if p.suffix in _TEXT or p.suffix == ""]
    return {p.relative_to(ROOT).as_posix(): p.read_text(encoding="utf-8") for p in sorted(found)}


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> list[Function]:
    """Every function and method of a file, inner ones too."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]
