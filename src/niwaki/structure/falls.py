"""Which sizes of a recorded call fall with which groups, and which calls are the same code at work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from .axes import Axis
from .trial import Trial

Losses = Mapping[int, int]
"""How much a size falls with a unit of each group, by the group's place in the trial."""


@dataclass(frozen=True)
class Fall:
    """A size that falls."""

    size: int
    losses: Losses


def _parts(axes: Iterable[Axis]) -> Iterator[Axis]:
    for axis in axes:
        yield axis
        yield from _parts(axis.parts)


def _falls(trial: Trial, axes: Iterable[Axis]) -> list[Fall]:
    of_root = np.full(len(trial.roots), -1)
    for which, (_, members) in enumerate(trial.groups):
        of_root[members] = which
    found: list[Fall] = []
    for axis in _parts(axes):
        if axis.ids is None:
            continue
        groups, counts = np.unique(of_root[trial.roots[axis.ids]], return_counts=True)
        losses = {int(g): int(c) // trial.groups[g][0].size for g, c in zip(groups, counts, strict=True) if g >= 0}
        if losses and Fall(axis.size, losses) not in found:
            found.append(Fall(axis.size, losses))
    return found


def falls_at(trial: Trial, place: int) -> list[Fall]:
    """The sizes that fall in what one call gives, each pair of size and groups once, in the order of the axes.

    Args:
        trial: the recording and the groups.
        place: the call.

    Returns:
        The sizes with their groups.
    """
    axes = [axes for made in trial.made if made.place == place for axes in made.axes if axes is not None]
    return _falls(trial, (axis for each in axes for axis in each))


def falls_in(trial: Trial, numbers: Collection[int]) -> list[Fall]:
    """The sizes that fall in some tensors of the recording.

    Args:
        trial: the recording and the groups.
        numbers: the tensors.

    Returns:
        As `falls_at`.
    """
    calls = trial.recording.calls
    return _falls(
        trial,
        (
            axis
            for made in trial.made
            for ref, axes in zip(calls[made.place].outs, made.axes, strict=False)
            if ref is not None and axes is not None and ref.number in numbers
            for axis in axes
        ),
    )


def twins_of(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> list[int]:
    """The same call, by operator and count, in every module of that class: what holds at one of them holds at all.

    Args:
        modules: the modules by name.
        trial: the recording.
        place: the call.

    Returns:
        The places of the needed calls among them, that of the call itself included if it is needed.
    """
    here, calls = trial.recording.calls[place], trial.recording.calls
    kind, seen, ordinal = type(modules[here.module]), Counter[str](), {}
    for number, call in enumerate(calls):
        if call.op is here.op and type(modules[call.module]) is kind:
            ordinal[number] = seen[call.module]
            seen[call.module] += 1
    return [made.place for made in trial.made if ordinal.get(made.place) == ordinal[place]]
