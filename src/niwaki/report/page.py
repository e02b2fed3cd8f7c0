"""The page: one file of HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .document import Section
from .facts import Facts, gather
from .pruned import is_pruned
from .pruning_page import pruning_page
from .sections.costs import costs
from .sections.diagnostics import diagnostics
from .sections.efficiency import efficiency
from .sections.front import latency
from .sections.headline import headline
from .sections.layers import layers
from .sections.learning import learning
from .sections.reached import reached
from .sections.reproduce import reproduce
from .sheet import sheet, write_sheet

_SECTIONS = (reached, latency, efficiency, learning, layers, diagnostics, costs, reproduce)


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write a self-contained HTML page about one or several runs.

    The page needs no network and no scripts. Runs that differ only in their seed are taken together.

    Args:
        runs: run folders, and folders that ``niwaki prune`` wrote; one of these alone has its own page.
        out: the file to write, or a folder to write ``report.html`` into.

    Returns:
        The file that was written.
    """
    facts = gather(runs)
    cut = facts.runs[0].result if facts.has_one_run else None
    if cut is not None and is_pruned(cut):
        page = pruning_page(cut, str(cut.get("command", "")))
    else:
        page = render(facts)
    path = out / "report.html" if out.is_dir() else out
    write_sheet(path, page)
    return path


def render(facts: Facts) -> str:
    """The page as text.

    Args:
        facts: the runs.

    Returns:
        HTML.
    """
    sections: list[Section | None] = [section(facts) for section in _SECTIONS]
    return sheet(headline(facts), [section for section in sections if section is not None])
