"""Files and functions stay small enough to read at once."""

from __future__ import annotations

import ast

from tests.house.source import CODE, Function, functions, sources

FILE_LINES, FUNCTION_LINES, POSITIONAL = 300, 40, 6


def _lines(function: Function) -> int:
    """From ``def`` to the end, without the docstring."""
    assert function.end_lineno is not None
    whole = function.end_lineno - function.lineno + 1
    text = ast.get_docstring(function, clean=False)
    return whole if text is None else whole - (text.count("\n") + 1)


def _positional(function: Function) -> int:
    named = [a for a in [*function.args.posonlyargs, *function.args.args] if a.arg not in {"self", "cls"}]
    return len(named)


def too_large(files: dict[str, str]) -> list[str]:
    found = []
    for path, source in files.items():
        count = len(source.splitlines())
        if count > FILE_LINES:
            found.append(f"{path}: {count} lines, {FILE_LINES} at most")
        for function in functions(source):
            where = f"{path}:{function.lineno} {function.name}"
            if _lines(function) > FUNCTION_LINES:
                found.append(f"{where}: {_lines(function)} lines without its docstring, {FUNCTION_LINES} at most")
            # pytest hands its arguments over by name.
            if _positional(function) > POSITIONAL and not function.name.startswith("test_"):
                found.append(f"{where}: {_positional(function)} positional arguments, {POSITIONAL} at most")
    return found


def test_files_and_functions_are_small():
    assert "\n".join(too_large(sources(*CODE))) == ""


def test_a_long_file_is_found():
    assert too_large({"a.py": "x = 1\n" * 300}) == []
    assert too_large({"a.py": "x = 1\n" * 301}) == ["a.py: 301 lines, 300 at most"]


def test_a_long_function_is_found_and_its_docstring_is_free():
    documented = 'def f():\n    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 39
    assert too_large({"a.py": documented}) == []
    assert too_large({"a.py": documented + "    x = 2\n"}) == [
        "a.py:1 f: 41 lines without its docstring, 40 at most",
    ]


def test_many_positional_arguments_are_found_and_keywords_are_free():
    assert too_large({"a.py": "class A:\n    def f(self, a, b, c, d, e, f, *, g, h): ..."}) == []
    assert too_large({"a.py": "def test_f(a, b, c, d, e, f, g): ..."}) == []
    assert too_large({"a.py": "def f(a, b, c, d, e, f, g): ..."}) == ["a.py:1 f: 7 positional arguments, 6 at most"]
