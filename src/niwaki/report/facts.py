"""The runs of a page, put in order once for all its sections."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from .cohorts import Cohort, cohorts_of
from .compare import Block, blocks_of, part
from .document import Namer
from .read import Run, read_runs, text
from .readable import compact, count


@dataclass(frozen=True, eq=False)
class Facts:
    """Runs, the cohorts they form, and the blocks of cohorts that may be compared."""

    runs: tuple[Run, ...]
    cohorts: tuple[Cohort, ...]
    blocks: tuple[Block, ...]
    name: Namer

    @property
    def has_one_block(self) -> bool:
        """Whether everything can be drawn in one picture."""
        return len(self.blocks) == 1

    @property
    def has_one_run(self) -> bool:
        """Whether there is nothing to compare."""
        return len(self.runs) == 1

    @property
    def result(self) -> str:
        """What the accuracy in the end is called."""
        return _called({part(run) for cohort in self.cohorts for run in cohort.counted})

    @property
    def way(self) -> str:
        """What the accuracy on the way is called: it may be of another part of the data."""
        return _called({text(run.evals[-1], "part", "") for run in self.runs if run.evals})

    def heading(self, block: Block) -> str:
        """What a block is called above its pictures; nothing if it is the only one."""
        if self.has_one_block:
            return ""
        asked = block.cohorts[0] if block.cohorts else None
        words = "Dense" if asked is None or asked.is_dense else asked_words(asked)
        words = words[:1].upper() + words[1:]
        return words if len({b.task for b in self.blocks}) == 1 else f"{words}, {block.task[0]} on {block.task[1]}"


def _called(parts: Set[str | None]) -> str:
    if "test" in parts:
        return "test accuracy"
    return "validation accuracy" if "valid" in parts else "accuracy"


def gather(folders: Sequence[Path]) -> Facts:
    """Read the runs and put them in order.

    Args:
        folders: run folders.

    Returns:
        The facts of the page.
    """
    runs = read_runs(folders)
    cohorts = cohorts_of(runs)
    return Facts(runs, cohorts, blocks_of(cohorts), Namer())


def asked_words(cohort: Cohort) -> str:
    """What a cohort was asked for, in a sentence."""
    return cohort.asked if cohort.has_budget else f"density {cohort.asked}"


def weight_words(value: float) -> str:
    """A number of weights: exact while one can read it at a glance."""
    return count(value) if abs(value) < 1e6 else compact(value)


def step_words(value: float) -> str:
    """A step on an axis or in a table."""
    return count(value) if abs(value) < 1e5 else compact(value)
