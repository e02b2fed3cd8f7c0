"""What each move did to the structure: the diagnostics of prune-and-regrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..core.gates import counts_of, densities

Units = Mapping[str, Tensor]


def _count(units: Units) -> int:
    return sum(counts_of(units).values())


def _both(a: Units, b: Units) -> int:
    return sum(int((a[name] & b[name]).count_nonzero()) for name in a)


def iou(a: Units, b: Units) -> float:
    """Intersection over union of two structures."""
    common = _both(a, b)
    return common / max(1, _count(a) + _count(b) - common)


@dataclass
class Diary:
    """Follows the structure from move to move.

    ``cycle`` is the structure after the last move that ended a cycle, ``ever`` the units active at any time, ``grown``
    those the last growing move brought in, ``dropped`` those the last dropping move took out.
    """

    cycle: dict[str, Tensor]
    ever: dict[str, Tensor]
    grown: dict[str, Tensor]
    dropped: dict[str, Tensor]
    records: list[dict[str, object]] = field(default_factory=list)

    @staticmethod
    def begin(home: Units) -> Diary:
        """A diary of a structure that has seen no move yet."""
        nothing = {name: mask & ~mask for name, mask in home.items()}
        return Diary(dict(home), dict(home), nothing, nothing)

    def note(self, step: int, move: str, stage: str, before: Units, after: Units) -> dict[str, object]:
        """Write down a move.

        Args:
            step: completed steps.
            move: its name.
            stage: the stage that follows.
            before: the structure before it.
            after: the structure after it.

        Returns:
            The record, ready for JSON.
        """
        gone = {name: before[name] & ~after[name] for name in before}
        born = {name: after[name] & ~before[name] for name in before}
        record: dict[str, object] = {
            "step": step,
            "move": move,
            "stage": stage,
            "density": _count(after) / max(1, sum(mask.numel() for mask in after.values())),
            "densities": densities(after),
        }
        if "drop" in move or move == "swap":
            if _count(self.grown):
                record["survival"] = _both(self.grown, after) / _count(self.grown)
            self.dropped = gone
        last = move.rpartition("+")[2]
        if last in ("grow", "swap", "prune", "restore"):  # these end a cycle
            if last == "grow" and _count(self.dropped):
                record["regrown"] = _both(self.dropped, after) / _count(self.dropped)
            record["iou"] = iou(self.cycle, after)
            self.cycle = dict(after)
            self.grown = born
        self.ever = {name: self.ever[name] | after[name] for name in after}
        record["ever_active"] = _count(self.ever) / max(1, sum(mask.numel() for mask in self.ever.values()))
        self.records.append(record)
        return record
