"""One pass at several batch sizes: which written numbers follow the batch, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_iter, tree_map, tree_unflatten

from ..core.errors import GroupError
from .foretold import Foretold, Kept, foretell
from .literals import Written, written
from .record import RecordingError
from .recording import Example

_TRIED = (2, 3, 5)


@dataclass(frozen=True)
class Line:
    """A whole number that follows the batch: ``slope`` times its size, and ``offset``."""

    slope: int
    offset: int


@dataclass(frozen=True, eq=False)
class Script:
    """All that a graph is made from. Numbers that follow the batch are a `Line`.

    ``passes`` are what it was read from, each with its input; ``fixed`` is empty, or says why the batch size is that of
    the example.
    """

    passes: Sequence[tuple[Example, Foretold]]
    calls: Sequence[Written]
    result: Any
    fixed: str = ""


class _Differs(ValueError):
    """Two passes did not do the same; the message says where."""


def _tensors(example: Example) -> list[Tensor]:
    inputs = dict(example) if not isinstance(example, Tensor | tuple | list) else example
    return [leaf for leaf in tree_iter(inputs) if isinstance(leaf, Tensor)]


def of_batch(example: Example, size: int) -> Example:
    """An example of another batch size: its rows over and over.

    Args:
        example: the example.
        size: how many rows.

    Returns:
        The other one.
    """

    def grown(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf[:size] if len(leaf) >= size else torch.cat([leaf] * -(-size // len(leaf)))[:size]

    return tree_map(grown, dict(example) if isinstance(example, Mapping) else example)


def _no_batch(example: Example) -> str:
    """Why an example has no batch axis to vary; empty if it has."""
    found = _tensors(example)
    if not found:
        return "the example holds no tensor"
    if any(not tensor.dim() for tensor in found) or len({tensor.shape[0] for tensor in found}) > 1:
        return "the inputs of the example do not all have a first axis of one size"
    return "the example has no rows" if not found[0].shape[0] else ""


def _line(values: Sequence[int], sizes: Sequence[int], where: str) -> int | Line:
    slope, rest = divmod(values[1] - values[0], sizes[1] - sizes[0])
    found = Line(slope, values[0] - slope * sizes[0])
    if rest or any(found.slope * size + found.offset != value for size, value in zip(sizes, values, strict=True)):
        raise _Differs(f"{where} computes with {', '.join(map(str, values))} for batches of {sizes}")
    return found if slope else found.offset


def _merged(trees: Sequence[Any], sizes: Sequence[int], where: str) -> Any:
    flat = [tree_flatten(tree) for tree in trees]
    if any(spec != flat[0][1] for _, spec in flat):
        raise _Differs(f"{where} is called in another way")
    leaves = []
    for values in zip(*(leaves for leaves, _ in flat), strict=True):
        if all(type(value) is int for value in values):
            leaves.append(_line(values, sizes, where))
        elif all(isinstance(value, Tensor) or repr(value) == repr(values[0]) for value in values):
            leaves.append(values[0])
        else:
            raise _Differs(f"{where} computes with {', '.join(map(str, values))} for batches of {sizes}")
    return tree_unflatten(leaves, flat[0][1])


def _calls(foretold: Foretold) -> list[Written]:
    return [written(foretold, made) for made in foretold.walk.made]


def _together(passes: Sequence[tuple[Example, Foretold]]) -> Script:
    sizes = tuple(len(_tensors(example)[0]) for example, _ in passes)
    scripts, first = [_calls(foretold) for _, foretold in passes], passes[0][1].walk
    if len({len(script) for script in scripts}) > 1:
        raise _Differs("the number of operators changes with the batch size")
    calls = []
    for made, same in zip(first.made, zip(*scripts, strict=True), strict=True):
        call = first.recording.calls[made.place]
        where = f"{call.op._schema.name} in {call.module!r}"
        if (
            any(w.op is not same[0].op for w in same)
            or len({f.walk.recording.calls[made.place].outs for _, f in passes}) > 1
        ):
            raise _Differs(f"{where} is another operator for another batch size")
        calls.append(replace(same[0], args=_merged([dict(w.args) for w in same], sizes, where)))
    results = [foretold.walk.recording.result for _, foretold in passes]
    return Script(passes, calls, _merged(results, sizes, "the output"))


_LAID = ("aten::clone", "aten::contiguous", "aten::view", "aten::_unsafe_view", "aten::expand")
# A product with a batch of one may be written as one of plain matrices.
_SAME = {"addmm": ["mm", "add.Tensor"], "baddbmm": ["mm", "add.Tensor"], "bmm": ["mm"], "mm": ["mm"]}


def _kinds(foretold: Foretold) -> list[str]:
    """What a pass does, without what depends on how memory lies."""
    calls = (foretold.walk.recording.calls[made.place] for made in foretold.walk.made)
    names = (str(call.op).removeprefix("aten.").removesuffix(".default") for call in calls)
    return [kind for name in names for kind in _SAME.get(name, [name]) if f"aten::{name}" not in _LAID]


def _free(model: nn.Module, example: Example, kept: Kept, whole: Foretold) -> Script:
    own = len(_tensors(example)[0])
    others = [of_batch(example, size) for size in _TRIED if size != own]
    passes = [(other, foretell(model, other, kept)) for other in others]
    if own > 1:
        return _together([*passes, (example, whole)])
    if _kinds(whole) != _kinds(passes[0][1]):
        raise _Differs("the model does something else with a batch of one")
    return _together(passes)


def script_of(model: nn.Module, example: Example, kept: Kept) -> Script:
    """Follow the model at several batch sizes where it can be, else at that of the example.

    Args:
        model: the whole model.
        example: its input.
        kept: the positions that stay, by tensor and axis.

    Returns:
        The script. A `GroupError` if the cut is not one that the forward pass allows.
    """
    whole = foretell(model, example, kept)
    fixed = _no_batch(example)
    if not fixed:
        try:
            return _free(model, example, kept, whole)
        except RecordingError as error:
            fixed = f"the model does not run on other batch sizes ({error})"
        except _Differs as error:
            fixed = str(error)
        except GroupError as error:
            fixed = f"at other batch sizes {error}"
    return Script([(example, whole)], _calls(whole), whole.walk.recording.result, fixed)
