"""When: events on the steps of a training run."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ..core.contracts import Criterion, Move
from ..core.errors import TrainError


@dataclass(frozen=True)
class Event:
    """Moves at one step of the timeline.

    Args:
        step: how many optimizer steps come before the moves; with ``instead``, they take the place of the update of
            that step, and read its gradients.
        moves: what happens, one after the other.
        stage: the name of the stage that begins.
        window: over how many steps, up to and including ``step``, the moves' criteria are averaged.
        instead: whether the moves replace the update of their step (as RigL does).
    """

    step: int
    moves: tuple[Move, ...]
    stage: str
    window: int = 1
    instead: bool = False

    @property
    def name(self) -> str:
        """``swap`` for drop and grow together, else the names of the moves joined."""
        names = [move.name for move in self.moves]
        return "swap" if names == ["drop", "grow"] else "+".join(names)

    @property
    def explores(self) -> bool:
        """Whether an exploration begins."""
        return self.moves[-1].explores

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria of all moves."""
        return tuple(criterion for move in self.moves for criterion in move.criteria)


@dataclass(frozen=True)
class Timeline:
    """Events in the order of their steps; at most one a step.

    >>> Timeline().stage(7)
    'train'
    """

    events: tuple[Event, ...] = ()
    start: str = "train"

    def __post_init__(self) -> None:
        steps = [event.step for event in self.events]
        if any(later <= earlier for earlier, later in zip(steps, steps[1:], strict=False)) or min(steps, default=1) < 1:
            raise TrainError(f"events of a timeline need steps of at least 1, in rising order; these are {steps[:10]}")

    @cached_property
    def _steps(self) -> list[int]:
        return [event.step for event in self.events]

    @property
    def explores(self) -> bool:
        """Whether an exploration is among the events."""
        return any(event.explores for event in self.events)

    def __call__(self, step: int) -> Event | None:
        """The event at a step, if there is one."""
        at = bisect_right(self._steps, step) - 1
        return self.events[at] if at >= 0 and self.events[at].step == step else None

    def upcoming(self, step: int) -> Event | None:
        """The first event after ``step`` completed steps."""
        at = bisect_right(self._steps, step)
        return self.events[at] if at < len(self.events) else None

    def stage(self, step: int) -> str:
        """The name of the stage that runs after ``step`` completed steps."""
        at = bisect_right(self._steps, step) - 1
        return self.events[at].stage if at >= 0 else self.start

    @property
    def last(self) -> int:
        """The step of the last event, 0 if there is none."""
        return self.events[-1].step if self.events else 0


def merged(events: Iterable[Event], start: str = "train") -> Timeline:
    """A timeline of events given in order; events on the same step become one.

    Args:
        events: events with steps that do not fall.
        start: the name of the first stage.

    Returns:
        The timeline.
    """
    out: list[Event] = []
    for event in events:
        if out and out[-1].step == event.step:
            before = out.pop()
            window = max(before.window, event.window)
            moves = (*before.moves, *event.moves)
            event = Event(event.step, moves, event.stage, window, before.instead or event.instead)
        out.append(event)
    return Timeline(tuple(out), start)
