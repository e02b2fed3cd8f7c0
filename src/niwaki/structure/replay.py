"""Proof that a model's own code runs at smaller sizes: a cut copy without memory is recorded and compared.

Weights can be cut anywhere; the code that uses them may have sizes of its own (``reshape(b, n, self.heads, -1)``). The
copy, with a random part of its units gone, must make the same calls, with just the shapes that the rules foretell.
Where it does not, an attribute of the module at that place with just the old value is lowered along; where there is
none, the units involved are left alone, and the reason is told.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_iter

from ..core.group import Group, Size
from .axes import Axis, Ids
from .cutting import cut_from, tensors_of
from .record import Call, Example, Recording, RecordingError, Ref, record
from .shrink import apply_cut, set_sizes

_FIXED = "the code of {module} fixes a size here that no attribute of it controls"
_ENDS = "makes more or fewer calls"


@dataclass(frozen=True, eq=False)
class Made:
    """One needed call: its place in the recording, and the axes of what came out."""

    place: int
    axes: Sequence[tuple[Axis, ...] | None]


@dataclass(frozen=True, eq=False)
class Trial:
    """All that the comparison needs: the recording, the needed calls, the unit of each atom, the groups with units."""

    recording: Recording
    made: Sequence[Made]
    roots: Ids
    groups: Sequence[tuple[Group, Ids]]


@dataclass(frozen=True, eq=False)
class _Difference:
    place: int
    words: str


_PARTED = ("aten::slice", "aten::split", "aten::split_with_sizes", "aten::unsafe_split")


def _is_parted(trial: Trial) -> bool:
    """Whether pieces are taken of an axis that is cut: their lengths may fit one choice of units and no other."""
    units = np.zeros(len(trial.roots), bool)
    for _, members in trial.groups:
        units[members] = True
    return any(
        axis.ids is not None and bool(units[trial.roots[axis.ids]].any())
        for made in trial.made
        if trial.recording.calls[made.place].op._schema.name in _PARTED
        for axes in made.axes
        for axis in axes or ()
    )


def _keeps(trial: Trial) -> Iterator[dict[str, Tensor]]:
    """Choices of units: a random half of each group; where pieces are taken, also the other half, and uneven counts.

    A piece of fixed length cannot fit both halves, one of a fixed share not groups that lose none, one, two ... units.
    """
    generator = torch.Generator().manual_seed(0)
    half = {}
    for group, _ in trial.groups:
        row = torch.rand(group.size, generator=generator) < 0.5
        row[0], row[-1] = True, False
        half[group.name] = row
    yield half
    if _is_parted(trial):
        yield {name: ~row for name, row in half.items()}
        sizes = [(group.name, group.size) for group, _ in trial.groups]
        yield {name: torch.arange(size) >= place % size for place, (name, size) in enumerate(sizes)}


def _smaller(model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor], *, real: bool) -> nn.Module:
    """A cut copy, whose tensors hold no memory unless the model runs on ``real`` ones only."""
    cut = cut_from(model, groups, keep)
    if real:
        return apply_cut(model, cut)
    memo: dict[int, object] = {}
    for name, tensor in tensors_of(model).items():
        axes = cut.kept.get(name, {})
        shape = [len(axes[axis]) if axis in axes else size for axis, size in enumerate(tensor.shape)]
        empty = torch.empty(shape, dtype=tensor.dtype, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty
    small = copy.deepcopy(model, memo)
    set_sizes(small, cut)
    return small


def _stays(trial: Trial, keep: Mapping[str, Tensor]) -> Ids:
    stays = np.ones(len(trial.roots), np.int64)
    for group, members in trial.groups:
        stays[members[~keep[group.name].numpy()]] = 0
    return stays[trial.roots]


def _numbers(call: Call, recording: Recording) -> list[object]:
    """The numbers that a call computes with, alone or as small tensors; sizes and places are not among them."""
    kinds = {argument.name: str(argument.type) for argument in call.op._schema.arguments}
    numeric = {name for name, kind in kinds.items() if "number" in kind or "float" in kind or kind == "Tensor"}
    plain = [value for name, value in call.args.items() if name in numeric and not isinstance(value, Ref)]
    refs = (x.number for x in tree_iter(dict(call.args)) if isinstance(x, Ref))
    return [*plain, *(recording.constants[x].tolist() for x in refs if x in recording.constants)]


def _compare(trial: Trial, again: Recording, keep: Mapping[str, Tensor], skip: set[str]) -> Iterator[_Difference]:
    """Where the smaller model does something else than foretold; calls that nothing needs may differ in shape."""
    stays = _stays(trial, keep)
    needed = {made.place: made for made in trial.made}
    before = [(place, call) for place, call in enumerate(trial.recording.calls) if call.module not in skip]
    after = [call for call in again.calls if call.module not in skip]
    for (place, old), new in zip(before, after, strict=False):
        if old.op is not new.op or old.module != new.module:
            yield _Difference(place, f"calls {new.op._schema.name} instead of {old.op._schema.name}")
        if place not in needed:
            continue
        for ref, axes in zip(new.outs, needed[place].axes, strict=False):
            wanted = None if axes is None else tuple(_size(axis, stays) for axis in axes)
            if ref is not None and wanted is not None and again.shapes[ref.number] != wanted:
                yield _Difference(place, f"gives {again.shapes[ref.number]} instead of {wanted}")
        was, now = _numbers(old, trial.recording), _numbers(new, again)
        if repr(was) != repr(now):  # by their text, in which a NaN is itself
            yield _Difference(place, f"computes with {now} instead of {was}")
    if len(after) != len(before):
        yield _Difference(before[min(len(after), len(before) - 1)][0], _ENDS)


def _size(axis: Axis, stays: Ids) -> int:
    return axis.size if axis.ids is None else int(stays[axis.ids].sum())


def _parts(axes: Iterable[Axis]) -> Iterator[Axis]:
    for axis in axes:
        yield axis
        yield from _parts(axis.parts)


def _falls(trial: Trial, place: int) -> dict[int, dict[int, int]]:
    """At one call: for each size that falls, how much it falls with a unit of each group, by the group's place."""
    of_root = np.full(len(trial.roots), -1)
    for which, (_, members) in enumerate(trial.groups):
        of_root[members] = which
    falls: dict[int, dict[int, int]] = {}
    for made in trial.made:
        if made.place != place:
            continue
        for axis in _parts(axis for axes in made.axes if axes is not None for axis in axes):
            if axis.ids is None:
                continue
            groups, counts = np.unique(of_root[trial.roots[axis.ids]], return_counts=True)
            found = {int(g): int(c) // trial.groups[g][0].size for g, c in zip(groups, counts, strict=True) if g >= 0}
            if found:
                falls.setdefault(axis.size, found)
    return falls


def _candidates(module: nn.Module, size: int) -> list[str]:
    if type(module).__module__.startswith("torch.nn."):
        return []  # the sizes of torch's own layers follow their tensors
    return [name for name, value in vars(module).items() if type(value) is int and value == size and name[0] != "_"]


_NOT_SIZES = ("idx", "index", "layer", "depth", "stage", "block", "training", "kernel", "stride", "window", "seed")


def _twins(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> list[int]:
    """The same call, by operator and count, in every module of that class: what holds at one of them holds at all."""
    here, calls = trial.recording.calls[place], trial.recording.calls
    kind, seen, ordinal = type(modules[here.module]), Counter[str](), {}
    for number, call in enumerate(calls):
        if call.op is here.op and type(modules[call.module]) is kind:
            ordinal[number] = seen[call.module]
            seen[call.module] += 1
    return [made.place for made in trial.made if ordinal.get(made.place) == ordinal[place]]


def _lowered(model: nn.Module, trial: Trial, place: int) -> dict[str, list[Size]]:
    """Attributes that would mend one call, for it and for the same call of every module of that class."""
    here = trial.recording.calls[place]
    modules = dict(model.named_modules())
    names = {
        name
        for size in _falls(trial, place)
        for name in _candidates(modules[here.module], size)
        if not any(word in name for word in _NOT_SIZES)
    }
    found: dict[str, list[Size]] = {}
    for twin in _twins(modules, trial, place):
        path = trial.recording.calls[twin].module
        for size, groups in _falls(trial, twin).items():
            for name in names & set(_candidates(modules[path], size)):
                for which, loss in groups.items():
                    group = trial.groups[which][0]
                    known = {(s.module, s.attribute) for s in (*group.sizes, *found.get(group.name, ()))}
                    if (path, name) not in known:
                        found.setdefault(group.name, []).append(Size(path, name, loss))
    return found


def _named(trial: Trial, place: int) -> set[str]:
    return {trial.groups[which][0].name for groups in _falls(trial, place).values() for which in groups}


def _involved(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> set[str]:
    """The groups that cannot lose units because of one call, and because of its twins."""
    names = {name for twin in _twins(modules, trial, place) for name in _named(trial, twin)}
    if names:
        return names
    inputs = {x.number for x in tree_iter(dict(trial.recording.calls[place].args)) if isinstance(x, Ref)}
    calls = trial.recording.calls
    makers = [m.place for m in trial.made if any(r is not None and r.number in inputs for r in calls[m.place].outs)]
    return {name for maker in makers for name in _named(trial, maker)}


def _difference(model: nn.Module, example: Example, trial: Trial, keep: Mapping[str, Tensor]) -> _Difference | None:
    small = _smaller(model, [group for group, _ in trial.groups], keep, real=bool(trial.recording.reason))
    # Attention whose heads are narrower than its input has a forward of ours, which calls other operators.
    skip = {name for name, module in small.named_modules() if "forward" in vars(module)}
    skip |= {name for name, _ in small.named_modules() if name.rpartition(".")[0] in skip and "." in name}
    try:
        again = record(small, example)
    except RecordingError as error:
        found = next(_compare(trial, error.done, keep, skip), None)
        if found is not None and found.words == _ENDS:
            return _Difference(found.place, f"fails: {error.__cause__}")
        return found
    return next(_compare(trial, again, keep, skip), None)


def prove(model: nn.Module, example: Example, trial: Trial) -> tuple[list[Group], dict[str, str]]:
    """The groups that the model's own code can lose units of, with the attributes that fall along.

    Args:
        model: the model.
        example: its example input.
        trial: the recording and what was found in it.

    Returns:
        The groups, and for each one left out the reason.
    """
    left: dict[str, str] = {}
    while trial.groups:
        tried = (_difference(model, example, trial, keep) for keep in _keeps(trial))
        found = next((difference for difference in tried if difference is not None), None)
        if found is None:
            break
        lowered = _lowered(model, trial, found.place)
        if lowered:
            groups = [(replace(g, sizes=(*g.sizes, *lowered.get(g.name, ()))), units) for g, units in trial.groups]
        else:
            gone = _involved(dict(model.named_modules()), trial, found.place) or {
                group.name for group, _ in trial.groups
            }
            module = trial.recording.calls[found.place].module or type(model).__name__
            left |= {name: f"{_FIXED.format(module=repr(module))} (a smaller copy {found.words})" for name in gone}
            groups = [(g, units) for g, units in trial.groups if g.name not in gone]
        trial = replace(trial, groups=groups)
    return [group for group, _ in trial.groups], left
