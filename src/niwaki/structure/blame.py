"""Which groups are to blame for a difference: as few as can be told, found in few trials."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from torch import nn

from .falls import falls_at, falls_in, twins_of
from .trial import Difference, Trial

_FIXED = "the code of {module} fixes a size here that no attribute of it controls"
_NEEDED = "the code of {module} needs {attribute!r} as it is, which falls with these units"
_INPUT = "the code of {module} computes a size here from that of its input, which falls with these units"
_ELSEWHERE = "without these units the code of {module} does something else"
_AMONG = "without some of these units, which could not be told apart, the code of {module} does something else"
_EACH = 4
"""Sizes of one call that are tried one by one."""
_PASSES = 48
"""Trials that a search by halves may take in one model."""

Try = Callable[[Trial], Difference | None]


@dataclass(frozen=True)
class Suspicion:
    """Groups by name with a reason each."""

    reasons: Mapping[str, str]

    def without(self, trial: Trial) -> Trial:
        """The trial in which these groups stay whole."""
        return replace(trial, groups=[pair for pair in trial.groups if pair[0].name not in self.reasons])


def _falling(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> list[set[str]]:
    """The groups of each size that falls at a call, and of the same size at the calls that are the same code."""
    found: list[set[str]] = []
    for twin in [place, *twins_of(modules, trial, place)]:
        for which, fall in enumerate(falls_at(trial, twin)):
            names = {trial.groups[number][0].name for number in fall.losses}
            if which < len(found):
                found[which] |= names
            else:
                found.append(names)
    return found


def _lowering(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> dict[str, str]:
    """The groups with which an attribute falls that the code of this call may read, and the attribute."""
    kind = type(modules[trial.recording.calls[place].module])
    return {
        group.name: size.attribute
        for group, _ in trial.groups
        for size in group.sizes
        if type(modules.get(size.module)) is kind
    }


def _named(trial: Trial, tensors: Collection[int]) -> set[str]:
    return {trial.groups[which][0].name for fall in falls_in(trial, tensors) for which in fall.losses}


def _entering(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> set[str]:
    """The groups that fall in what goes into the module of a call, and into others where the same code is at work."""
    calls, found = trial.recording.calls, set[int]()
    for path in {calls[twin].module for twin in (place, *twins_of(modules, trial, place))}:
        inside = [call for call in calls if call.module == path or call.module.startswith(f"{path}.") or not path]
        made = {ref.number for call in inside for ref in call.outs if ref is not None}
        found |= {ref.number for call in inside for ref in call.given} - made
    return _named(trial, found)


def _suspicions(modules: Mapping[str, nn.Module], trial: Trial, found: Difference) -> Iterator[Suspicion]:
    """Guesses, the narrower and likelier ones first."""
    place = found.place
    where = repr(trial.recording.calls[place].module or type(modules[""]).__name__)
    fixed, needed = _FIXED.format(module=where), {}
    for name, attribute in _lowering(modules, trial, place).items():
        needed[name] = _NEEDED.format(module=where, attribute=attribute)
    falling = _falling(modules, trial, place)
    named = {name: fixed for names in falling for name in sorted(names)}
    enter = dict.fromkeys(sorted(_entering(modules, trial, place)), _INPUT.format(module=where))
    inputs = {x.number for x in trial.recording.calls[place].given}
    yield from (Suspicion(dict.fromkeys(sorted(names), fixed)) for names in falling[:_EACH])
    yield from (Suspicion(reasons) for reasons in (named, needed, named | needed, enter, enter | named, enter | needed))
    yield Suspicion(dict.fromkeys(sorted(_named(trial, inputs)), fixed) | enter | named | needed)


@dataclass(eq=False)
class Search:
    """The search for groups to blame in one model. ``left`` counts the trials that halving may still take."""

    modules: Mapping[str, nn.Module]
    tried: Try
    left: int = _PASSES

    def blamed(self, trial: Trial, found: Difference) -> tuple[Suspicion, Difference | None]:
        """Groups without which a trial comes past a difference, and what it meets then.

        Args:
            trial: the trial.
            found: where it does something else than foretold.

        Returns:
            The groups with a reason each, and the next difference.
        """
        before: list[set[str]] = [set()]
        for guess in _suspicions(self.modules, trial, found):
            if set(guess.reasons) in before:
                continue
            before.append(set(guess.reasons))
            then = self.tried(guess.without(trial))
            if then is None or then.place > found.place:
                return guess, then
        guess = self._halved(trial, found)
        return guess, self.tried(guess.without(trial))

    def _passes(self, trial: Trial, found: Difference, count: int) -> bool:
        """Whether the trial with the first groups alone comes past a difference."""
        self.left -= 1
        then = self.tried(replace(trial, groups=trial.groups[:count]))
        return then is None or then.place > found.place

    def _halved(self, trial: Trial, found: Difference) -> Suspicion:
        """The last group of the shortest beginning that fails, again and again until the rest comes past."""
        where = repr(trial.recording.calls[found.place].module or type(self.modules[""]).__name__)
        reasons: dict[str, str] = {}
        while trial.groups:
            low, high = 0, len(trial.groups)
            while high - low > 1 and self.left > 0:
                middle = (low + high) // 2
                low, high = (middle, high) if self._passes(trial, found, middle) else (low, middle)
            known = high - low == 1
            words = (_ELSEWHERE if known else _AMONG).format(module=where)
            last = high if known else len(trial.groups)
            reasons |= {group.name: words for group, _ in trial.groups[low:last]}
            trial = Suspicion(reasons).without(trial)
            if not known or self._passes(trial, found, len(trial.groups)):
                break
        return Suspicion(reasons)
