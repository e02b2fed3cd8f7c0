"""A recording, walked: the axes of every tensor are carried from call to call by the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from torch import nn
from torch._ops import OpOverload

from .axes import Axis, Space, fixed
from .recording import Call, Recording, Ref, refs_in
from .rules import Axes, Site, Tracked, freeze_all, rule_of
from .trial import Made


@dataclass(eq=False)
class Walk:
    """One pass over the recorded calls. ``made`` collects what the needed calls gave, ``used`` the stored tensors."""

    recording: Recording
    space: Space
    axes: dict[int, Axes]
    modules: Mapping[str, nn.Module]
    sharing: Mapping[int, list[int]]
    made: list[Made] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def tracked(self, ref: Ref) -> Tracked:
        """The axes of a tensor; one that came from nowhere is a constant of the code."""
        if ref.number not in self.axes:
            why = "a tensor that is neither parameter nor buffer"
            self.axes[ref.number] = tuple(fixed(size, why) for size in self.recording.shapes[ref.number])
        return Tracked(self.axes[ref.number])

    def _argument(self, value: Any) -> Any:
        if type(value) is Ref:
            return self.tracked(value)
        return [self._argument(x) for x in value] if type(value) is list else value

    def follow(self, place: int, call: Call) -> None:
        """Let the rule of one call say what comes out."""
        args = {name: self._argument(value) for name, value in call.args.items()}
        outs = [None if ref is None else self.recording.shapes[ref.number] for ref in call.outs]
        site = Site(call.op, args, outs, self.space, call.module, self.modules)
        rule, where = rule_of(call.op), f" (in {call.module})" if call.module else ""
        if rule is None:
            made = freeze_all(site, f"there is no rule for {call.op._schema.name}{where}")
        else:
            made = rule(site)
            if not _fits(made, outs):  # a form of the operator that its rule does not know
                made = freeze_all(site, f"the rule for {call.op._schema.name} does not fit it{where}")
        self.made.append(Made(place, made, _sliced(site)))
        for ref, axes in zip(call.outs, made, strict=True):
            if ref is not None and axes is not None:
                self.axes[ref.number] = axes
        if _written(call.op):
            self._forget_zeros(call)

    def _forget_zeros(self, call: Call) -> None:
        # What is written into memory changes every view of it: none is known to be zero any more, unless the new
        # values are.
        written = [ref for ref in call.outs if ref is not None]
        if all(axis.zero for ref in written for axis in self.axes[ref.number] if axis.is_live):
            return
        for ref in written:
            for other in self.sharing[self.recording.storage[ref.number]]:
                if other in self.axes:
                    self.axes[other] = tuple(
                        replace(axis, zero=False) if axis.zero else axis for axis in self.axes[other]
                    )


def _sliced(site: Site) -> Axis | None:
    """The axis that a slice without gaps was taken of."""
    if site.op._schema.name != "aten::slice" or site.value("step", 1) != 1:
        return None
    axes = site["self"].axes
    return axes[site.dim("dim", len(axes))]


def _fits(made: Sequence[Axes | None], outs: Sequence[tuple[int, ...] | None]) -> bool:
    return len(made) == len(outs) and all(
        axes is None or shape is None or tuple(axis.size for axis in axes) == shape
        for axes, shape in zip(made, outs, strict=True)
    )


@cache
def _written(op: OpOverload) -> tuple[str, ...]:
    """The arguments that an operator writes on."""
    if not op._schema.is_mutable:
        return ()
    return tuple(a.name for a in op._schema.arguments if a.alias_info is not None and a.alias_info.is_write)


def _needed(recording: Recording) -> list[tuple[int, Call]]:
    """The calls on which the outputs depend, with their places; what is written into shared memory counts."""
    storage = recording.storage
    storages = {storage[number] for number in recording.outputs}
    calls = []
    for place in range(len(recording.calls) - 1, -1, -1):
        call = recording.calls[place]
        written = _written(call.op)
        # What is written on need not be given back.
        made = (*call.outs, *refs_in(call.args.get(name) for name in written)) if written else call.outs
        if any([ref is not None and storage[ref.number] in storages for ref in made]):
            calls.append((place, call))
            storages.update([storage[x.number] for x in call.given])
    return calls[::-1]


def walk(model: nn.Module, recording: Recording, space: Space, stored: Mapping[str, Axes]) -> Walk:
    """Follow a recording from its inputs to its outputs, both of which stay as they are.

    Args:
        model: the model.
        recording: what it did.
        space: where the rules write down what they find.
        stored: the axes of parameters and buffers.

    Returns:
        The walk.
    """
    axes = {number: stored[name] for number, name in recording.names.items()}
    for number in recording.inputs:
        axes[number] = tuple(fixed(size, "an input of the model") for size in recording.shapes[number])
    sharing: dict[int, list[int]] = {}
    for number, key in recording.storage.items():
        sharing.setdefault(key, []).append(number)
    found = Walk(recording, space, axes, dict(model.named_modules()), sharing)
    for place, call in _needed(recording):
        found.follow(place, call)
        found.used.update(recording.names[x.number] for x in call.given if x.number in recording.names)
    for number in recording.outputs:
        for axis in found.tracked(Ref(number)).axes:
            space.freeze(axis, "an output of the model")
    return found
