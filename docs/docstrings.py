r"""Shows on web pages what docstrings write in the manner of Python.

Examples that begin with ``>>>`` and tables drawn with ``===`` are put into blocks of code before the page is made;
``:math:`...``` becomes MathML afterwards. Browsers draw MathML themselves, so that the pages need no script for it.
"""

import html
import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)
_TABLE = re.compile(r"^(={2,}(?: +={2,})+)\n(?:.*\n)+?\1\n(?:.*\n)+?\1$", re.MULTILINE)
_MATH = re.compile(r":math:<code>(.*?)</code>", re.DOTALL)


def fenced(text: str) -> str:
    """A docstring with its examples and tables in blocks of code."""
    text = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
    return _TABLE.sub(lambda found: f"```text\n{found[0]}\n```", text)


class Fences(griffe.Extension):
    """Called while the package is read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every module, class and function."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def on_page_content(content: str, **_: Any) -> str:
    """Called by MkDocs with the page's HTML."""
    return _MATH.sub(lambda found: convert(html.unescape(found[1])), content)
