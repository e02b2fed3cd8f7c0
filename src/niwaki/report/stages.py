"""The stages of a run: which part of it did what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from .read import Run, text
from .readable import listed

_USUAL = ("estimate", "improve", "explore", "train", "prune", "dense", "compressed")


@dataclass(frozen=True)
class Stage:
    """Steps ``begin`` to ``end`` under one name. ``kind`` chooses the colour."""

    name: str
    begin: float
    end: float
    kind: str = ""

    @property
    def tone(self) -> str:
        """The name of the colour."""
        return self.kind or stage_tone(self.name)


def stage_tone(name: str) -> str:
    """The name of a stage's colour: its own if it is one of the usual stages."""
    return name if name in _USUAL else "other"


def stages_of(run: Run) -> tuple[Stage, ...]:
    """The stages of a run, one after the other, from step 0 to the last step written down.

    Every move says which stage follows; neighbours of one name are one stage.

    Args:
        run: the run.

    Returns:
        The stages without gaps; a single one where there were no moves.
    """
    turns = [(0.0, _first_stage(run)), *((float(m["step"]), text(m, "stage")) for m in run.moves)]
    ends = [*(begin for begin, _ in turns[1:]), float(max(run.last_step, turns[-1][0]))]
    out: list[Stage] = []
    for (begin, name), end in zip(turns, ends, strict=True):
        if end <= begin:
            continue
        if out and out[-1].name == name:
            out[-1] = Stage(name, out[-1].begin, end)
        else:
            out.append(Stage(name, begin, end))
    return tuple(out)


def _first_stage(run: Run) -> str:
    """The stage before the first move.

    A record at the step of the move itself may have been written before or after it, so only earlier ones count.
    """
    first = run.moves[0]["step"] if run.moves else float("inf")
    for record in run.train:
        if record["step"] < first and "stage" in record:
            return str(record["stage"])
    stages = (run.ledger or {}).get("stages")
    return next(iter(stages), "train") if isinstance(stages, dict) else "train"


def folded(stages: Sequence[Stage], most: int) -> tuple[Stage, ...]:
    """Few enough stages to be told apart: where there are more than ``most``, those that recur become one.

    Args:
        stages: the stages of a run.
        most: how many can be drawn.

    Returns:
        The stages themselves, or with the cycles folded.

    >>> cycle = [Stage("improve", i, i + 1) if i % 2 else Stage("explore", i, i + 1) for i in range(8)]
    >>> [(s.name, s.begin, s.end, s.tone) for s in folded([*cycle, Stage("train", 8, 20)], most=4)]
    [('cycles of explore and improve', 0, 8, 'cycles'), ('train', 8, 20, 'train')]
    """
    if len(stages) <= most:
        return tuple(stages)
    times = Counter(stage.name for stage in stages)
    name = f"cycles of {listed([n for n, often in times.items() if often > 1])}"
    out: list[Stage] = []
    for stage in stages:
        recurs = times[stage.name] > 1
        if recurs and out and out[-1].kind == "cycles":
            out[-1] = Stage(name, out[-1].begin, stage.end, "cycles")
        else:
            out.append(Stage(name, stage.begin, stage.end, "cycles") if recurs else stage)
    return tuple(out)


def cycle_in_words(stages: Sequence[Stage]) -> str | None:
    """What one cycle is made of: the usual length of each stage that recurs.

    >>> cycle = [Stage("estimate", 0, 45), Stage("explore", 45, 55)]
    >>> cycle_in_words([*cycle, Stage("estimate", 55, 100), Stage("explore", 100, 110)])
    '45 steps of estimate, then 10 of explore'
    """
    lengths: dict[str, list[float]] = {}
    for stage in stages:
        lengths.setdefault(stage.name, []).append(stage.end - stage.begin)
    usual = [(name, round(median(often))) for name, often in lengths.items() if len(often) > 1]
    if len(usual) < 2:
        return None
    (name, first), *rest = usual
    return f"{first:,} steps of {name}, " + ", ".join(f"then {length:,} of {other}" for other, length in rest)


def cycle_length(stages: Sequence[Stage]) -> float | None:
    """Steps from one beginning of a stage to its next, as usual; ``None`` where no stage recurs.

    >>> cycle_length([Stage("a", 0, 4), Stage("b", 4, 10), Stage("a", 10, 14), Stage("b", 14, 20)])
    10.0
    """
    begins: dict[str, list[float]] = {}
    for stage in stages:
        begins.setdefault(stage.name, []).append(stage.begin)
    apart = [b - a for some in begins.values() for a, b in zip(some, some[1:], strict=False)]
    return float(median(apart)) if apart else None
