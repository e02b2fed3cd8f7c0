"""How a search is watched on a terminal, and how it ends after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from ..patterns import Progress


@contextmanager
def _bars(quiet: bool, left: bool) -> Generator[Bars | None, None, None]:
    # Bars on a terminal, with the time that is left or that has passed; nothing elsewhere.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    where = Console(stderr=True)
    if quiet or not where.is_terminal:
        yield None
        return
    clock = TimeRemainingColumn(compact=True) if left else TimeElapsedColumn()
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}")
    with Progress(*columns, clock, console=where, transient=True) as bars:
        yield bars


@contextmanager
def told(*, quiet: bool) -> Generator[Callable[[Progress], None] | None, None, None]:
    """A bar for a search of patterns on a terminal; nothing elsewhere.

    Args:
        quiet: no bar there, either.

    Yields:
        What to tell of the search's progress; ``None`` where nothing is shown.
    """
    with _bars(quiet, left=False) as bars:
        if bars is None:
            yield None
            return
        bar = bars.add_task("prepare", total=1.0, facts="")

        def tell(progress: Progress) -> None:
            facts = f"threshold {progress.threshold:.2g}, {progress.testable:,} testable of {progress.visited:,}"
            bars.update(bar, description=progress.stage, completed=progress.share, facts=facts)

        yield tell


@contextmanager
def counted(*, quiet: bool) -> Generator[Callable[[int, int], None] | None, None, None]:
    """A bar for a network of causes on a terminal: the pairs done, and the time that is left; nothing elsewhere.

    Args:
        quiet: no bar there, either.

    Yields:
        What to tell of the effects done and their number; ``None`` where nothing is shown.
    """
    with _bars(quiet, left=True) as bars:
        if bars is None:
            yield None
            return
        bar = bars.add_task("score", total=None, facts="")

        def tell(done: int, effects: int) -> None:
            facts = f"{done * (effects - 1):,} of {effects * (effects - 1):,} pairs, time left"
            bars.update(bar, total=effects, completed=done, facts=facts)

        yield tell


def end(complete: bool, what: str) -> None:
    """Say that a search was interrupted, after its results, so that nothing proven is lost.

    Args:
        complete: whether it came to its end.
        what: what is true of the results all the same.

    Raises:
        KeyboardInterrupt: it did not.
    """
    if not complete:
        raise KeyboardInterrupt(f"interrupted: {what}, but there may be more")
