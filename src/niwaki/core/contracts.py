"""The contracts between the four questions: what, how much, how many, when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from .errors import BudgetError, SignalError
from .gates import GateMap, Gates
from .group import Group
from .signals import Signals

Schedule = Callable[[int], float]
"""A function of the step, nothing more."""


@runtime_checkable
class Criterion(Protocol):
    """How much each unit matters. Pure; higher = keep; says which signals it needs."""

    @property
    def needs(self) -> frozenset[str]:
        """The kinds of signal the criterion reads."""
        ...

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        """Scores ``[group.size]``, float32 at least, on the device of the signals."""
        ...


class Allocator(Protocol):
    """How many stay, and therefore which. Pure, exact, deterministic."""

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept."""
        ...


def check_criterion(criterion: object, argument: str = "criterion") -> None:
    """Check that something can score units.

    Args:
        criterion: what was given for one.
        argument: under which name, for the message.

    Raises:
        SignalError: it is a name, a class, or something else without ``needs``.
    """
    if not _is_made(criterion) or not isinstance(criterion, Criterion):
        raise SignalError(f"{argument}={_seen(criterion)} is no criterion; give an object such as niwaki.Magnitude()")


def check_allocator(allocator: object) -> None:
    """Check that something can allocate; ``None`` stands for the usual allocator.

    Args:
        allocator: what was given for one.

    Raises:
        BudgetError: it is a name, a class, or cannot be called.
    """
    if allocator is not None and not (_is_made(allocator) and callable(allocator)):
        raise BudgetError(f"allocator={_seen(allocator)} is no allocator; give an object such as niwaki.Global()")


def _is_made(given: object) -> bool:
    return not isinstance(given, type | str)


def _seen(given: object) -> str:
    return f"{given.__name__} (a class)" if isinstance(given, type) else f"{given!r} ({type(given).__name__})"


Probe = Callable[[nn.Module, frozenset[str]], Signals]
"""Measures signals on data of its own, when a criterion wants more than weights and gradients of the loop."""


@dataclass(frozen=True, eq=False)
class Context:
    """What a move may look at.

    ``home`` holds the booleans of the structure that would be delivered now: the kept units, also while a method
    explores; ``cycle`` those of the structure with which the present cycle began. ``grown`` marks the units that the
    last growing move brought in. ``score(criterion, group)`` gives ``[size]`` scores over the move's window.
    """

    step: int
    groups: Sequence[Group]
    home: Mapping[str, Tensor]
    cycle: Mapping[str, Tensor]
    grown: Mapping[str, Tensor]
    score: Callable[[Criterion, Group], Tensor]
    generator: torch.Generator


@runtime_checkable
class Move(Protocol):
    """Changes gates: prune, grow, explore, restore.

    Criteria see removed weights with the values that they had last, since units may come back. A move that chooses
    among the active units alone says ``only_removes = True``; its criteria see removed weights as the zeros they are.
    """

    @property
    def name(self) -> str:
        """A short word for reports."""
        ...

    @property
    def explores(self) -> bool:
        """Whether the gates that come out are an exploration, and the structure to deliver stays as it was."""
        ...

    @property
    def criteria(self) -> tuple[Criterion, ...]:
        """The criteria whose scores the move will ask for."""
        ...

    def __call__(self, gates: GateMap, context: Context) -> dict[str, Gates]:
        """The new gates."""
        ...
