"""The proof: the masked model and the shrunk one give the same, or the first module where they part."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

from ..core.cut import Cut
from ..core.errors import GroupError, said
from ..core.gaps import gap, largest, tensors_in
from ..core.group import Group, is_structured
from ..core.names import bare_model, plain_name
from .cutting import cut_from, modules_of
from .masked import masked_parameters
from .parting import Diary, Picks, limit_of, parting, watched

_NOISE = 1e-3
_Run = Callable[[nn.Module], object]


@dataclass(frozen=True)
class Verdict:
    """Whether a shrunk model gives what the masked one gives. True if so; its text says it in words.

    ``difference`` is the largest absolute difference of any output, ``tolerance`` what was allowed there, ``where`` the
    first module whose outputs differ (empty if none does, or none can be named). ``effect`` is by how much the removal
    changes the dense model's outputs: where it is no larger than the tolerance, agreement proves little.
    """

    same: bool
    difference: float
    tolerance: float
    effect: float
    where: str
    words: str

    def __bool__(self) -> bool:
        """Whether the two are the same."""
        return self.same

    def __str__(self) -> str:
        """The finding in words."""
        return self.words


@contextmanager
def _evaluating(*models: nn.Module) -> Generator[None]:
    modes = {module: module.training for model in models for module in model.modules()}
    tf32 = torch.backends.cudnn.allow_tf32
    devices = {t.device.index for model in models for t in model.parameters() if t.device.type == "cuda"}
    try:
        for module in modes:
            module.training = False
        # Rounded products would differ with the sizes.
        torch.backends.cudnn.allow_tf32 = False
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(devices)):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
        for module, mode in modes.items():
            module.training = mode


def _arguments(inputs: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple | list):
        return tuple(inputs), {}
    raise GroupError(
        f"inputs= is a {type(inputs).__name__}; give a tensor, a tuple of inputs, or a mapping of keyword inputs"
    )


def _run(model: nn.Module, parameters: Mapping[str, Tensor], inputs: object) -> object:
    # Everything that the model could write on is a copy.
    args, kwargs = tree_map(lambda x: x.clone() if isinstance(x, Tensor) else x, _arguments(inputs))
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    own = {name: parameters[plain_name(name)] for name, _ in model.named_parameters() if plain_name(name) in parameters}
    torch.manual_seed(0)
    return functional_call(model, {**own, **buffers}, args, kwargs)


def _difference(whole: object, small: object, tolerance: float | None) -> tuple[float, float, str]:
    # The worst difference between two outputs, what was allowed there, and what is wrong in words (empty if nothing).
    before, after = tensors_in(whole), tensors_in(small)
    if not before:
        raise GroupError(f"the model gives a {type(whole).__name__} without tensors; there is nothing to compare")
    if before.keys() != after.keys():
        return float("inf"), 0.0, f"the masked model gives {', '.join(before)}, the shrunk one {', '.join(after)}"
    # An output that is all rounding error, beside others that are not, need not agree in it.
    least = _NOISE * max(largest(tensor) for tensor in before.values())
    worst, words = (0.0, 0.0), ""
    for at, tensor in before.items():
        limit = limit_of(tensor, tolerance, least=least)
        if tensor.shape != after[at].shape:
            shapes = f"{tuple(tensor.shape)} in the masked model and {tuple(after[at].shape)} in the shrunk one"
            return float("inf"), limit, f"{at} has shape {shapes}"
        if bool(tensor.isnan().any()):
            return float("nan"), limit, f"{at} of the masked model holds NaN, which proves nothing; try other inputs"
        found = gap(tensor, after[at])
        if not words and not found <= limit:
            words = f"{at} differs by {found:.3g}, where {limit:.3g} is allowed"
        worst = max(worst, (found, limit))
    return *worst, words


def _effect(dense: object, masked: object) -> float:
    before, after = tensors_in(dense), tensors_in(masked)
    pairs = [(before[at], after[at]) for at in before.keys() & after.keys() if before[at].shape == after[at].shape]
    return max((gap(one, other) for one, other in pairs), default=0.0)


def _picks(cut: Cut) -> Picks:
    found: dict[tuple[int, int], list[Tensor]] = {}
    for name, axes in cut.kept.items():
        for axis, index in axes.items():
            same = found.setdefault((cut.shapes[name][axis], len(index)), [])
            if not any(torch.equal(index, other) for other in same):
                same.append(index)
    return found


def _failed(run: _Run, small: nn.Module, error: Exception, effect: float) -> Verdict:
    inside: list[str] = []
    with watched(small, lambda name, module, output: None, inside):
        try:
            run(small)
        except Exception as again:  # whatever a forward pass may raise
            error = again
    where = inside[-1] if inside else ""
    place = f"module {where!r} ({type(modules_of(small)[where]).__name__})" if where else "the model's own forward"
    words = f"the shrunk model does not run in {place}: {said(error)}"
    return Verdict(same=False, difference=float("inf"), tolerance=0.0, effect=effect, where=where, words=words)


def _first_module(run: _Run, model: nn.Module, small: nn.Module, cut: Cut, tolerance: float | None) -> tuple[str, str]:
    """Name and words for the first module whose outputs differ."""
    whole, less = Diary(), Diary()
    for each, diary in ((model, whole), (small, less)):
        with watched(each, diary, []):
            run(each)
    found = parting(whole.steps, less.steps, _picks(cut), tolerance)
    if found is None:
        return "", "no module's outputs differ: the difference arises in code between modules"
    return found[0].name, f"they part first in {found[0].words}, {found[1]}"


def _check_values(**given: object) -> None:
    for name, thing in given.items():
        held = [*thing.parameters(), *thing.buffers()] if isinstance(thing, nn.Module) else tree_leaves(thing)
        if any(isinstance(tensor, Tensor) and tensor.is_meta for tensor in held):
            raise GroupError(
                f"{name}= has tensors on the meta device, which hold no values: nothing can be compared; make it on "
                "a device with memory, such as the CPU"
            )


def _inexact(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> str:
    names = [g.name for g in groups if not g.exact and g.name in keep and not bool(keep[g.name].all())]
    return (
        f"; {', '.join(names[:5])} {'is' if len(names) == 1 else 'are'} marked exact=False (a norm runs over the cut "
        "axis), where masking and removing differ"
        if names
        else ""
    )


def verify(
    model: nn.Module,
    small: nn.Module,
    groups: Sequence[Group],
    keep: Mapping[str, Tensor],
    inputs: object,
    *,
    tolerance: float | None = None,
) -> Verdict:
    """Compare a shrunk model, or one with zeros, with the dense one whose removed units are zero.

    Both run in evaluation mode on the same inputs, with the same random numbers, products of convolutions unrounded
    where a GPU would round them. Neither is changed.

    Args:
        model: the dense model.
        small: what `shrink` or `zeroed` made of it.
        groups: the dense model's groups.
        keep: the units that stayed.
        inputs: a tensor, a tuple of inputs, or a mapping of keyword inputs.
        tolerance: how far any output may be off. By default 1e-4 (float64 1e-8, bfloat16 0.05, float16 0.01) times the
            largest value of that output.

    Returns:
        The verdict: true if all outputs agree; otherwise it names the first module, in the order of execution, whose
        outputs differ. Outputs are compared at the kept positions where shapes say which these are, else by norms.

    >>> from niwaki.core import Slice
    >>> from niwaki.structure import shrink
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> rows = torch.arange(3)[:, None]
    >>> places = (("0.weight", (3, 4), 0), ("0.bias", (3,), 0), ("2.weight", (2, 3), 1))
    >>> group = Group("hidden", 3, tuple(Slice(name, shape, dim, rows) for name, shape, dim in places))
    >>> keep = {"hidden": torch.tensor([True, False, True])}
    >>> bool(verify(model, shrink(model, [group], keep), [group], keep, torch.randn(5, 4)))
    True
    """
    whole, less = bare_model(model), bare_model(small)
    _check_values(model=whole, small=less, inputs=inputs)
    cut = cut_from(whole, groups, keep) if is_structured(groups) else Cut()
    changed = masked_parameters(whole, groups, keep)

    def run(each: nn.Module) -> object:
        return _run(each, changed if each is whole else {}, inputs)

    with _evaluating(whole, less):
        wanted = run(whole)
        effect = _effect(_run(whole, {}, inputs), wanted)
        try:
            found = run(less)
        except Exception as error:  # whatever a forward pass may raise
            return _failed(run, less, error, effect)
        difference, limit, wrong = _difference(wanted, found, tolerance)
        if not wrong:
            pair = "masked and shrunk model" if is_structured(groups) else "masked model and the one with zeros"
            words = f"{pair} agree: the largest difference is {difference:.3g} ({limit:.3g} is allowed)"
            if changed and effect <= limit:
                words += f"; but removing these units changes the outputs by only {effect:.3g}, so this proves little"
            return Verdict(same=True, difference=difference, tolerance=limit, effect=effect, where="", words=words)
        where, why = _first_module(run, whole, less, cut, tolerance)
    words = f"{wrong}; {why}{_inexact(groups, keep)}"
    return Verdict(same=False, difference=difference, tolerance=limit, effect=effect, where=where, words=words)
