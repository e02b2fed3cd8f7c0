"""Addresses of models and data: ``scheme:rest?option=value&option=value``."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ..core.errors import AddressError, said


@dataclass(frozen=True)
class Address:
    """An address taken apart: ``zoo:mlp?widths=64,10`` has scheme ``zoo``, rest ``mlp`` and one option."""

    text: str
    scheme: str
    rest: str
    options: Mapping[str, object]


def literal(text: str) -> object:
    """A value as typed on a command line: numbers, booleans, None, lists with commas; anything else is text.

    >>> [literal(text) for text in ("3", "1e-3", "true", "64,128", "taylor")]
    [3, 0.001, True, (64, 128), 'taylor']
    """
    known = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return tuple(literal(part) for part in text.split(",")) if "," in text else text
    return tuple(value) if isinstance(value, list) else value


def parse(text: str) -> Address:
    """Take an address apart.

    Args:
        text: the address.

    Returns:
        Its parts.

    Raises:
        AddressError: an option without a value.
    """
    where, _, query = text.partition("?")
    scheme, _, rest = where.partition(":")
    options = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise AddressError(f"{text!r}: the option {pair!r} needs the form name=value")
        options[name.replace("-", "_")] = literal(value)
    return Address(text, scheme, rest, options)


def near(name: str, known: Iterable[str]) -> str:
    """A hint for a message: the nearest known names, then all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 3, 0.5)
    hint = f"did you mean {' or '.join(repr(n) for n in close)}? " if close else ""
    return f"{hint}Known: {', '.join(names)}"


def needed(package: str, extra: str, text: str) -> ModuleType:
    """Import a package that only some addresses need.

    Args:
        package: its import name.
        extra: the extra of niwaki that brings it.
        text: the address, for the message.

    Returns:
        The package.

    Raises:
        AddressError: it is not installed.
        ModuleNotFoundError: it is, but lacks something that it needs itself.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise AddressError(
            f"{text!r} needs {package.split('.')[0]}, which is not installed; run: pip install 'niwaki[{extra}]'"
        ) from error


def python_function(address: Address) -> Callable[..., Any]:
    """The function that a ``python:`` address names; modules of the current folder are found too.

    Args:
        address: ``python:package.module:function``.

    Returns:
        The function.

    Raises:
        AddressError: no such module or function.
    """
    module_name, _, name = address.rest.partition(":")
    if not module_name or not name:
        raise AddressError(f"{address.text!r} needs the form python:package.module:function")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise AddressError(
            f"{address.text!r}: cannot import {module_name} ({error}); run in the folder that holds it, or install it"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        public = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise AddressError(f"{address.text!r}: {module_name} has no function {name!r}; {near(name, public)}")
    return function  # type: ignore[no-any-return]


def _keywords(function: Callable[..., object], positional: int) -> tuple[list[str], bool]:
    """The keywords a function takes after its first arguments, and whether it takes any other too."""
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind in {p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD}]
    return names[positional:], any(p.kind is p.VAR_KEYWORD for p in parameters)


def call(function: Callable[..., Any], address: Address, *arguments: object, **defaults: object) -> Any:
    """Call a function with the options of an address.

    Args:
        function: what the address names.
        address: holds the options.
        *arguments: positional arguments.
        **defaults: keywords that the function gets if it knows them and the address does not set them.

    Returns:
        What it returns.

    Raises:
        AddressError: an option the function does not know, or the function fails.
    """
    names, takes_any = _keywords(function, len(arguments))
    for option in address.options:
        if option not in names and not takes_any:
            raise AddressError(f"{address.text!r} has no option {option!r}; {near(option, names)}")
    known = {name: value for name, value in defaults.items() if name in names}
    try:
        return function(*arguments, **{**known, **address.options})
    except AddressError:
        raise
    except Exception as error:
        raise AddressError(f"{address.text!r} cannot be made: {said(error)}") from error
