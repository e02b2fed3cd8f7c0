"""Attributes that hold a size of the code, and may be lowered along with the units of some groups."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import nn

from ..core.group import Group, Size
from .falls import Fall, falls_at, twins_of
from .trial import Trial

_NOT_SIZES = ("idx", "index", "layer", "depth", "stage", "block", "training", "kernel", "stride", "window", "seed")
_MOST = 12
"""Ways to lower several attributes together; more are not tried."""
_TRIES = 24
"""Ways to come past one call, all in all."""
_FACTORS = 4
"""Attributes that may be a factor of a size; more are not tried."""

_Choice = Mapping[str, int]
"""Attributes by name, with the place among the falling sizes of the one that each of them holds."""


def _numbers(module: nn.Module) -> dict[str, int]:
    """The whole numbers among a module's attributes that may be sizes."""
    if type(module).__module__.startswith("torch.nn."):
        return {}  # the sizes of torch's own layers follow their tensors
    found = {name: value for name, value in vars(module).items() if type(value) is int and name[0] != "_"}
    return {name: value for name, value in found.items() if not any(word in name for word in _NOT_SIZES)}


def _loss(value: int, fall: Fall, loss: int) -> int:
    """How much an attribute falls with a unit, if it is a size, or a factor of it that a unit has a whole share of."""
    whole = 1 < value <= fall.size and fall.size % value == 0 and loss * value % fall.size == 0
    return loss * value // fall.size if whole else 0


def _ways(options: Sequence[Sequence[tuple[str, int]]]) -> Iterator[_Choice]:
    """One of each, none twice; likelier first, and no more than so many."""
    for way in itertools.islice(itertools.product(*options), _MOST):
        if len({name for name, _ in way}) == len(way):
            yield dict(way)


def _choices(module: nn.Module, falls: Sequence[Fall]) -> Iterator[_Choice]:
    """One attribute alone, before several together: a number that happens to have the value of a size stays."""
    numbers = _numbers(module)
    pairs = [(name, place) for place, fall in enumerate(falls) for name, value in numbers.items() if value == fall.size]
    for name, place in pairs:
        yield {name: place}
    # Each size by an attribute of its own, as in the lengths of pieces; then every attribute with one of its sizes.
    by_place = [[pair for pair in pairs if pair[1] == place] for place in dict.fromkeys(place for _, place in pairs)]
    by_name = [[pair for pair in pairs if pair[0] == name] for name in dict.fromkeys(name for name, _ in pairs)]
    seen: list[_Choice] = []
    for way in (*_ways(by_place), *_ways(by_name)):
        if len(way) > 1 and way not in seen:
            seen.append(way)
            yield way
    factors = [
        (name, place)
        for place, fall in enumerate(falls)
        for name, value in numbers.items()
        if value != fall.size and all(_loss(value, fall, loss) for loss in fall.losses.values())
    ]
    # The likeliest factor counts the units themselves.
    factors.sort(
        key=lambda pair: min(_loss(numbers[pair[0]], falls[pair[1]], x) for x in falls[pair[1]].losses.values())
    )
    for name, place in factors[:_FACTORS]:
        yield {name: place}


def _sizes(modules: Mapping[str, nn.Module], trial: Trial, place: int, choice: _Choice) -> dict[str, list[Size]]:
    """What it means to lower these attributes for one call, and for the same call of every module of that class."""
    found: dict[str, list[Size]] = {}
    for twin in twins_of(modules, trial, place):
        path, falls = trial.recording.calls[twin].module, falls_at(trial, twin)
        for name, which in choice.items():
            value = getattr(modules[path], name, None)
            if which >= len(falls) or type(value) is not int:
                continue
            for number, loss in falls[which].losses.items():
                group, less = trial.groups[number][0], _loss(value, falls[which], loss)
                known = {(s.module, s.attribute) for s in (*group.sizes, *found.get(group.name, ()))}
                if less and (path, name) not in known:
                    found.setdefault(group.name, []).append(Size(path, name, less))
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
    for choice in itertools.islice(_choices(module, falls_at(trial, place)), _TRIES):
        lowered = _sizes(modules, trial, place, choice)
        if not lowered:
            continue
        groups = [(replace(g, sizes=(*g.sizes, *lowered.get(g.name, ()))), units) for g, units in trial.groups]
        if _stay_positive(modules, [group for group, _ in groups]):
            yield replace(trial, groups=groups)
