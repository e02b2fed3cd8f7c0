"""The page: one file of HTML that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from .. import __version__
from ..core.errors import StoreError
from .facts import Facts, gather
from .sections.costs import costs
from .sections.diagnostics import diagnostics
from .sections.efficiency import efficiency
from .sections.headline import headline
from .sections.layers import layers
from .sections.learning import learning
from .sections.reached import reached
from .sections.reproduce import reproduce

_SECTIONS = (reached, efficiency, learning, layers, diagnostics, costs, reproduce)


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write a self-contained HTML page about one or several runs.

    The page needs no network and no scripts. Runs that differ only in their seed are taken together.

    Args:
        runs: run folders.
        out: the file to write, or a folder to write ``report.html`` into.

    Returns:
        The file that was written.
    """
    page = render(gather(runs))
    path = out / "report.html" if out.is_dir() else out
    _write(path, page.encode())
    return path


def render(facts: Facts) -> str:
    """The page as text.

    Args:
        facts: the runs.

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
    sections = [section(facts) for section in _SECTIONS]
    return environment.get_template("page.html.j2").render(
        top=headline(facts), sections=sections, style=style, version=__version__
    )


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot write the report to {path}: {error.strerror or error}; free some space or choose another place"
        ) from error
