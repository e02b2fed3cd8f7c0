"""Proof that a model's own code runs at smaller sizes: a cut copy without memory is recorded and compared.

Weights can be cut anywhere; the code that uses them may have sizes of its own (``reshape(b, n, self.heads, -1)``). The
copy, with a random part of its units gone, must make the same calls, with just the shapes that the rules foretell.
Where it does not, an attribute of the module at that place with just the old value is lowered along; where there is
none, the units involved are left alone, and the reason is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from ..core.group import Group, Size
from .axes import Axis
from .cutting import cut_from
from .record import RecordingError, Smaller, record, record_smaller
from .recording import Example
from .shrink import apply_cut, set_sizes
from .trial import ENDS, Difference, Trial, choices, compare

_FIXED = "the code of {module} fixes a size here that no attribute of it controls"


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


def _names(modules: Mapping[str, nn.Module], trial: Trial, place: int) -> list[str]:
    """Attributes that may be a size of one call: they have the value of one that falls."""
    module = modules[trial.recording.calls[place].module]
    names = [name for size in _falls(trial, place) for name in _candidates(module, size)]
    return [name for name in dict.fromkeys(names) if not any(word in name for word in _NOT_SIZES)]


def _lowered(
    modules: Mapping[str, nn.Module], trial: Trial, place: int, names: Collection[str]
) -> dict[str, list[Size]]:
    """What it means to lower these attributes for one call, and for the same call of every module of that class."""
    found: dict[str, list[Size]] = {}
    for twin in _twins(modules, trial, place):
        path = trial.recording.calls[twin].module
        for size, groups in _falls(trial, twin).items():
            for name in (name for name in _candidates(modules[path], size) if name in names):
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
    inputs = {x.number for x in trial.recording.calls[place].given}
    calls = trial.recording.calls
    makers = [m.place for m in trial.made if any(r is not None and r.number in inputs for r in calls[m.place].outs)]
    return {name for maker in makers for name in _named(trial, maker)}


def _of_ours(model: nn.Module) -> set[str]:
    """Attention whose heads are narrower than its input, and what is in it: a forward of ours calls other operators."""
    own = [(name, module) for name, module in model.named_modules()
           if isinstance(module, nn.MultiheadAttention) and "forward" in vars(module)]  # fmt: skip
    return {f"{name}.{inner}" if inner else name for name, module in own for inner, _ in module.named_modules()}


def _difference(model: nn.Module, example: Example, trial: Trial, keep: Mapping[str, Tensor]) -> Difference | None:
    cut, skip = cut_from(model, [group for group, _ in trial.groups], keep), set[str]()

    def finish(small: nn.Module) -> None:
        set_sizes(small, cut)
        skip.update(_of_ours(small))

    shapes = {name: tuple(len(cut.kept[name][axis]) if axis in cut.kept[name] else size
                          for axis, size in enumerate(cut.shapes[name])) for name in cut.kept}  # fmt: skip
    try:
        if trial.recording.reason:  # it runs on real tensors only
            small = apply_cut(model, cut)
            skip.update(_of_ours(small))
            again = record(small, example)
        else:
            again = record_smaller(model, example, Smaller(shapes, finish))
    except RecordingError as error:
        found = next(compare(trial, error.done, keep, skip), None)
        if found is not None and found.words == ENDS:
            return Difference(found.place, f"fails: {error.__cause__}")
        return found
    return next(compare(trial, again, keep, skip), None)


def _first_difference(model: nn.Module, example: Example, trial: Trial) -> Difference | None:
    tried = (_difference(model, example, trial, keep) for keep in (choices(trial) if trial.groups else ()))
    return next((difference for difference in tried if difference is not None), None)


def _stay_positive(modules: Mapping[str, nn.Module], groups: Sequence[Group]) -> bool:
    """Whether every attribute keeps a value of one or more, whatever units go: else it counts something else."""
    loss = Counter[tuple[str, str]]()
    for group in groups:
        for size in group.sizes:
            loss[size.module, size.attribute] += (group.size - 1) * size.per_unit
    values = {key: getattr(modules[key[0]], key[1]) for key in loss}
    return all(loss[key] < value for key, value in values.items() if isinstance(value, int))


def _mended(
    model: nn.Module, example: Example, trial: Trial, found: Difference
) -> tuple[Trial, Difference | None] | None:
    """The trial with attributes lowered so that it comes past one difference, and the next one; None if none helps."""
    modules = dict(model.named_modules())
    names = _names(modules, trial, found.place)
    # One alone, before all together: a number that happens to have the value of a size is not to be touched.
    for chosen in [[name] for name in names] + ([names] if len(names) > 1 else []):
        lowered = _lowered(modules, trial, found.place, chosen)
        if not lowered:
            continue
        groups = [(replace(g, sizes=(*g.sizes, *lowered.get(g.name, ()))), units) for g, units in trial.groups]
        if not _stay_positive(modules, [group for group, _ in groups]):
            continue
        after = replace(trial, groups=groups)
        then = _first_difference(model, example, after)
        if then is None or then.place > found.place:
            return after, then
    return None


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
    found = _first_difference(model, example, trial)
    modules = dict(model.named_modules()) if found is not None else {}
    while trial.groups and found is not None:
        mended = _mended(model, example, trial, found)
        if mended is None:
            gone = _involved(modules, trial, found.place) or {group.name for group, _ in trial.groups}
            module = trial.recording.calls[found.place].module or type(model).__name__
            left |= {
                name: f"{_FIXED.format(module=repr(module))} (a smaller copy {found.words}); nw.shrink_graph can cut it"
                for name in gone
            }
            trial = replace(trial, groups=[(g, units) for g, units in trial.groups if g.name not in gone])
            found = _first_difference(model, example, trial)
        else:
            trial, found = mended
    return [group for group, _ in trial.groups], left
