"""Attributes that hold a size of the code, and may be lowered along with the units of some groups."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from ..core.group import Group, Size
from .falls import falls_at, twins_of
from .trial import Trial

_NOT_SIZES = ("idx", "index", "layer", "depth", "stage", "block", "training", "kernel", "stride", "window", "seed")
_MOST = 12
"""Ways to lower several attributes together; more are not tried."""

_Choice = Mapping[str, int]
"""Attributes by name, with the place among the falling sizes of the one that each of them holds."""


def _candidates(module: nn.Module, size: int) -> list[str]:
    if type(module).__module__.startswith("torch.nn."):
        return []  # the sizes of torch's own layers follow their tensors
    names = [name for name, value in vars(module).items() if type(value) is int and value == size and name[0] != "_"]
    return [name for name in names if not any(word in name for word in _NOT_SIZES)]


def _choices(module: nn.Module, sizes: Sequence[int]) -> Iterator[_Choice]:
    """One attribute alone, before several together: a number that happens to have the value of a size stays."""
    places: dict[str, list[int]] = {}
    for place, size in enumerate(sizes):
        for name in _candidates(module, size):
            places.setdefault(name, []).append(place)
    for name, found in places.items():
        for place in found:
            yield {name: place}
    if len(places) > 1:
        # Two of one value: each with units of its own, before both with the same.
        ways = sorted(itertools.islice(itertools.product(*places.values()), _MOST), key=lambda way: -len(set(way)))
        for way in ways:
            yield dict(zip(places, way, strict=True))


def _sizes(modules: Mapping[str, nn.Module], trial: Trial, place: int, choice: _Choice) -> dict[str, list[Size]]:
    """What it means to lower these attributes for one call, and for the same call of every module of that class."""
    found: dict[str, list[Size]] = {}
    for twin in twins_of(modules, trial, place):
        path, falls = trial.recording.calls[twin].module, falls_at(trial, twin)
        for name, which in choice.items():
            if which >= len(falls) or getattr(modules[path], name, None) != falls[which].size:
                continue
            for number, loss in falls[which].losses.items():
                group = trial.groups[number][0]
                known = {(s.module, s.attribute) for s in (*group.sizes, *found.get(group.name, ()))}
                if (path, name) not in known:
                    found.setdefault(group.name, []).append(Size(path, name, loss))
    return found


def _stay_positive(modules: Mapping[str, nn.Module], groups: Sequence[Group]) -> bool:
    """Whether every attribute keeps a value of one or more, whatever units go: else it counts something else."""
    loss = Counter[tuple[str, str]]()
    for group in groups:
        for size in group.sizes:
            loss[size.module, size.attribute] += (group.size - 1) * size.per_unit
    values = {key: getattr(modules[key[0]], key[1]) for key in loss}
    return all(loss[key] < value for key, value in values.items() if isinstance(value, int))


def lowerings(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> Iterator[Trial]:
    """The trial with attributes lowered along that may be a size of one call: they have the value of one that falls.

    Args:
        modules: the modules by name.
        trial: the trial.
        place: the call.

    Yields:
        One trial for each way, likelier ones first.
    """
    module = modules[trial.recording.calls[place].module]
    for choice in _choices(module, [fall.size for fall in falls_at(trial, place)]):
        lowered = _sizes(modules, trial, place, choice)
        if not lowered:
            continue
        groups = [(replace(g, sizes=(*g.sizes, *lowered.get(g.name, ()))), units) for g, units in trial.groups]
        if _stay_positive(modules, [group for group, _ in groups]):
            yield replace(trial, groups=groups)
