"""A page from its parts: one file of HTML that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from .. import __version__
from ..core.errors import StoreError
from .document import Section
from .sections.headline import Headline


def sheet(top: Headline, sections: Sequence[Section]) -> str:
    """The page as text.

    Args:
        top: title, sentence and key figures.
        sections: the rest, in order.

    Returns:
        HTML.
    """
    import jinja2  # here, because `import niwaki` should not wait for it

    # Everything is escaped but the drawings, which escape what they are given themselves.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("niwaki.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    style = resources.files("niwaki.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(top=top, sections=sections, style=style, version=__version__)


def write_sheet(path: Path, page: str) -> None:
    """Put the page in its place in one step.

    Args:
        path: the file; its folder is made if it does not exist.
        page: HTML.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(page.encode())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write the report to {path}: {error.strerror or error}; free some space or choose another place"
        ) from error
