"""How settled the structure is, and whether what grows is worth it: the paper's figure 5 (Sun et al. 2025)."""

from __future__ import annotations

from functools import partial

from ..charts.axes import Axis
from ..cohorts import Cohort
from ..compare import Block
from ..document import Figure, Section, grouped
from ..facts import Facts, step_words
from ..read import number
from ..readable import listed, percent, share
from ..series import Curve, curve, over_seeds
from .curves import Topic, curves

_NAMES = "structure", "Structure", "How the structure settled"
_TOPICS: tuple[tuple[str, str, str, str, float | None, float | None], ...] = (
    ("iou", "structure kept over a cycle", "intersection over union",
     "Units active before and after a cycle, over units active before or after it: 100 % when nothing was swapped.",
     None, 1.0),
    ("survival", "grown units that survive", "survival rate",
     "The share of the units grown last that outlive the next prune: high when growing chose well.",
     0.0, 1.0),
    ("ever_active", "units ever active", "share of all units",
     "How much of the network has been tried at some time.",
     0.0, None),
)  # fmt: skip


def diagnostics(facts: Facts) -> Section:
    """Three figures per block.

    Args:
        facts: the runs.

    Returns:
        The section; it is missing if no structure changed.
    """
    groups = [grouped(facts.heading(block), found) for block in facts.blocks if (found := _of_block(block, facts))]
    if not groups:
        return Section(*_NAMES, missing="No run here changed its structure while it trained.")
    return Section(*_NAMES, lead=_lead(facts), groups=groups)


def _line(key: str, cohort: Cohort) -> Curve:
    lines = [curve(run.moves, "step", key) for run in cohort.counted]
    return over_seeds(lines)


def _of_block(block: Block, facts: Facts) -> list[Figure]:
    made = []
    for key, title, label, caption, low, high in _TOPICS:
        topic = Topic(
            title,
            caption,
            Axis("step", step_words, low=0.0),
            Axis(label, share, low=low, high=high),
            partial(_line, key),
            marks=True,
        )
        made.append(curves(topic, block.cohorts, facts, half=True))
    return [figure for figure in made if figure is not None]


def _lead(facts: Facts) -> str:
    words = []
    for cohort in facts.cohorts:
        values = [v for run in cohort.counted for move in run.moves if (v := number(move, "survival")) is not None]
        if values:
            words.append(f"{percent(sum(values) / len(values), 0)} with {cohort.label}")
    return f"Grown units that outlived the next prune, on average: {listed(words)}." if words else ""
