"""A trial of a smaller copy: which units it goes without, and where it does something else than the rules foretell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._ops import OpOverload

from ..core.group import Group
from .axes import Axis, Ids
from .recording import Call, Recording, Ref

ENDS = "makes more or fewer calls"


@dataclass(frozen=True, eq=False)
class Made:
    """One needed call: its place in the recording, the axes of what came out, and the one that a slice was taken of."""

    place: int
    axes: Sequence[tuple[Axis, ...] | None]
    source: Axis | None = None


@dataclass(frozen=True, eq=False)
class Trial:
    """All that the comparison needs: the recording, the needed calls, the unit of each atom, the groups with units."""

    recording: Recording
    made: Sequence[Made]
    roots: Ids
    groups: Sequence[tuple[Group, Ids]]


@dataclass(frozen=True, eq=False)
class Difference:
    """The call at which a smaller copy does something else, by its place in the recording, and what."""

    place: int
    words: str


_PARTED = ("aten::slice", "aten::split", "aten::split_with_sizes", "aten::unsafe_split")


def _in_groups(trial: Trial) -> NDArray[np.bool_]:
    units = np.zeros(len(trial.roots), bool)
    for _, members in trial.groups:
        units[members] = True
    return units


def _is_cut(axis: Axis | None, trial: Trial, units: NDArray[np.bool_]) -> bool:
    return axis is not None and axis.ids is not None and bool(units[trial.roots[axis.ids]].any())


def _is_parted(trial: Trial) -> bool:
    """Whether pieces are taken of an axis that is cut: their lengths may fit one choice of units and no other."""
    units = _in_groups(trial)
    return any(
        _is_cut(axis, trial, units)
        for made in trial.made
        if trial.recording.calls[made.place].op._schema.name in _PARTED
        for axis in (*_pieces(trial.recording.calls[made.place], made), made.source)
    )


def _has_idle(trial: Trial) -> bool:
    """Whether a call on which no output depends reads what is cut: no rule was asked whether it can."""
    calls, needed = trial.recording.calls, {made.place for made in trial.made}
    idle = {ref.number for place, call in enumerate(calls) if place not in needed for ref in call.given}
    if not idle:
        return False
    units = _in_groups(trial)
    return any(
        ref is not None and ref.number in idle and any(_is_cut(axis, trial, units) for axis in axes or ())
        for made in trial.made
        for ref, axes in zip(calls[made.place].outs, made.axes, strict=True)
    )


def _pieces(call: Call, made: Made) -> Iterator[Axis]:
    """The axis along which pieces are taken, in each of them; the other axes pass whole."""
    for axes in made.axes:
        if axes:
            yield axes[int(call.args.get("dim", 0)) % len(axes)]


def _counts(groups: Sequence[Group]) -> Iterator[int]:
    """How many units each group loses: of one size, neighbours lose unlike many, so that code that ties them fails."""
    seen = Counter[int]()
    for group in groups:
        most = max(1, group.size - 2)
        yield 1 + (most // 2 + seen[group.size] * (most // 3 + 1)) % most
        seen[group.size] += 1


def _uneven_counts(groups: Sequence[Group]) -> Iterator[int]:
    """How many units each group loses so that neither two nor three divides what stays, where that can be."""
    seen = Counter[int]()
    for group in groups:
        found = [loss for loss in range(1, group.size - 1) if math.gcd(group.size - loss, 6) == 1] or [1]
        yield found[seen[group.size] % len(found)]
        seen[group.size] += 1


def _row(size: int, loss: int, generator: torch.Generator) -> Tensor:
    """Which units stay: neither the first ones nor the last ones alone."""
    gone = [1, size - 1, *(3 + torch.randperm(max(size - 4, 0), generator=generator)).tolist()]
    row = torch.ones(size, dtype=torch.bool)
    row[gone[:loss] if size > 2 else -1] = False
    return row


def _other(group: Group, row: Tensor) -> Tensor:
    """The other units; where too few would stay, as many at other places."""
    # An axis of one position would be laid out in its own way.
    least = max(group.min_keep, 2 if group.size > 3 else 1)
    return ~row if int((~row).sum()) >= least else row.flip(0)


_LITTLE = 3
"""Groups of at most so many units can only lose one."""


def choices(trial: Trial) -> Iterator[dict[str, Tensor]]:
    """Choices of units: of each group some at random places; where pieces are taken, also others, and uneven counts.

    A piece of fixed length cannot fit the units of both choices, one of a fixed share not groups that lose none, one,
    two ... units. Calls on which no output depends are followed by no rule, and tried on counts that little divides.
    Little groups, which all lose one, are also tried in turns, so that two tied by code are told apart.
    """
    generator, groups = torch.Generator().manual_seed(0), [group for group, _ in trial.groups]

    def losing(counts: Iterator[int]) -> dict[str, Tensor]:
        return {g.name: _row(g.size, loss, generator) for g, loss in zip(groups, counts, strict=True)}

    rows = losing(_counts(groups))
    yield rows
    if _has_idle(trial):
        yield losing(_uneven_counts(groups))
    little = [group for group in groups if group.size <= _LITTLE]
    if _is_parted(trial):
        yield {g.name: _other(g, rows[g.name]) for g in groups}
        for order in (groups, groups[::-1]):
            yield {g.name: torch.arange(g.size) >= place % (g.size - g.min_keep + 1) for place, g in enumerate(order)}
    elif len(little) > 1:
        yield rows | {g.name: torch.ones(g.size, dtype=torch.bool) for g in little[::2]}


def _stays(trial: Trial, keep: Mapping[str, Tensor]) -> Ids:
    stays = np.ones(len(trial.roots), np.int64)
    for group, members in trial.groups:
        stays[members[~keep[group.name].numpy()]] = 0
    return stays[trial.roots]


@cache
def _numeric(op: OpOverload) -> frozenset[str]:
    """The arguments of an operator that are numbers to compute with."""
    kinds = {argument.name: str(argument.type) for argument in op._schema.arguments}
    return frozenset(name for name, kind in kinds.items() if "number" in kind or "float" in kind or kind == "Tensor")


def _numbers(call: Call, recording: Recording) -> list[object]:
    """The numbers that a call computes with, alone or as small tensors; sizes and places are not among them."""
    numeric = _numeric(call.op)
    plain = [value for name, value in call.args.items() if name in numeric and not isinstance(value, Ref)]
    constants = recording.constants
    return [*plain, *(constants[x.number].tolist() for x in call.given if x.number in constants)]


_COPIED = "aten::clone"


@cache
def _kind(op: OpOverload) -> str:
    """What an operator does. Whether a reshape needs a copy depends on the sizes, so that both are taken for one."""
    name = str(op._schema.name)
    return {"aten::_unsafe_view": "aten::view", "aten::contiguous": _COPIED}.get(
        name, f"{name}.{op._overloadname}" if name not in (_COPIED, "aten::view") else name
    )


def _start(call: Call, recording: Recording) -> int:
    """Where a slice begins."""
    shape = recording.shapes[call.args["self"].number]
    return slice(call.args.get("start"), None).indices(shape[call.args.get("dim", 0)])[0]


def compare(trial: Trial, again: Recording, keep: Mapping[str, Tensor], skip: set[str]) -> Iterator[Difference]:
    """Where the smaller model does something else than foretold; calls that nothing needs may differ in shape."""
    stays = _stays(trial, keep)
    needed = {made.place: made for made in trial.made}
    before = [(p, c) for p, c in enumerate(trial.recording.calls) if c.module not in skip and _kind(c.op) != _COPIED]
    after = [call for call in again.calls if call.module not in skip and _kind(call.op) != _COPIED]
    for (place, old), new in zip(before, after, strict=False):
        if _kind(old.op) != _kind(new.op) or old.module != new.module:
            yield Difference(place, f"calls {new.op._schema.name} instead of {old.op._schema.name}")
        if place not in needed:
            continue
        for ref, axes in zip(new.outs, needed[place].axes, strict=False):
            wanted = None if axes is None else tuple(_size(axis, stays) for axis in axes)
            if ref is not None and wanted is not None and again.shapes[ref.number] != wanted:
                yield Difference(place, f"gives {again.shapes[ref.number]} instead of {wanted}")
        source = needed[place].source
        if source is not None and source.ids is not None:
            # What stays of the positions before it must be as many as the code skips.
            start, before_it = _start(new, again), int(stays[source.ids[: _start(old, trial.recording)]].sum())
            if start != before_it:
                yield Difference(place, f"takes a slice from {start} on instead of {before_it}")
        was, now = _numbers(old, trial.recording), _numbers(new, again)
        if repr(was) != repr(now):  # by their text, in which a NaN is itself
            yield Difference(place, f"computes with {now} instead of {was}")
    if len(after) != len(before):
        yield Difference(before[min(len(after), len(before) - 1)][0], ENDS)


def _size(axis: Axis, stays: Ids) -> int:
    return axis.size if axis.ids is None else int(stays[axis.ids].sum())
