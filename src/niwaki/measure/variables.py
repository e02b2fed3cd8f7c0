"""Which lengths of an operator may vary, which of them go together, and its arguments at other lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from .tape import Held, Operation
from .widths import Forms, either, scaled


@dataclass(frozen=True)
class Variable:
    """A length of an operator that may be smaller in a smaller model.

    Args:
        size: in the dense model.
        forms: what it hangs on, the surest first.
        multiple: what it must be a multiple of for the operator to run.
    """

    size: int
    forms: Forms
    multiple: int = 1


@dataclass(frozen=True, eq=False)
class Varied:
    """An operator with its variables.

    Args:
        operation: the operator.
        variables: the lengths that may vary.
        places: for each tensor it takes, per dimension ``(variable, times)`` or ``None`` for a fixed length: the
            length is ``times`` that of the variable.
        groups: of a convolution in groups, else one.
    """

    operation: Operation
    variables: tuple[Variable, ...]
    places: tuple[tuple[tuple[int, int] | None, ...], ...]
    groups: int = 1


_Spot = tuple[int, int]


def _is_convolution(kind: str) -> bool:
    return kind.startswith("conv") and kind[-1] == "d"


def groups_of(operation: Operation) -> int:
    """In how many groups a convolution works; one for everything else."""
    args = operation.args
    return int(args[6]) if _is_convolution(operation.kind) and len(args) > 6 else 1


def _weight_ties(kind: str, held: Sequence[Held], groups: int) -> list[list[_Spot]]:
    """Which dimensions (tensor, dim) are one length; the first named knows best what it hangs on."""
    if _is_convolution(kind):
        turned = "transpose" in kind
        inner, outer = ((1, 0), (1, 1)) if turned else ((1, 1), (1, 0))
        if groups == 1:
            return [[inner, (0, 1)], [outer, *((i, 0) for i in range(2, len(held)))]]
        return [[(1, 0), (0, 1), *((i, 0) for i in range(2, len(held)))]]
    if kind == "linear":
        return [[(1, 1), (0, len(held[0].shape) - 1)], [(1, 0), *((i, 0) for i in range(2, len(held)))]]
    if kind in {"batch_norm", "group_norm", "instance_norm"}:
        return [[*((i, 0) for i in range(1, len(held))), (0, 1)]]
    return []


def _product_ties(kind: str, held: Sequence[Held]) -> list[list[_Spot]]:
    at = 1 if kind in {"addmm", "baddbmm"} else 0
    a, b = len(held[at].shape), len(held[at + 1].shape)
    ties = [[(at, a - 1), (at + 1, max(b - 2, 0))]]
    ties += [[(at, a - back), (at + 1, b - back)] for back in range(3, min(a, b) + 1)]
    if at:
        bias = len(held[0].shape)
        ties += [[(at + 1, b - 1), (0, bias - 1)], *([[(at, a - 2), (0, bias - 2)]] if bias > 1 else [])]
    return ties


def _attention_ties(held: Sequence[Held]) -> list[list[_Spot]]:
    rank = len(held[0].shape)
    ties = [[(i, d) for i in range(len(held)) if len(held[i].shape) == rank] for d in range(rank - 2)]
    return [*ties, [(1, rank - 2), (2, rank - 2)], [(i, rank - 1) for i in range(3)]]


def _aligned_ties(held: Sequence[Held]) -> list[list[_Spot]]:
    rank = max((len(h.shape) for h in held), default=0)
    return [[(i, len(h.shape) - b) for i, h in enumerate(held) if len(h.shape) >= b] for b in range(1, rank + 1)]


def _ties(operation: Operation) -> list[list[_Spot]]:
    kind, held = operation.kind, operation.held
    if kind in {"layer_norm", "rms_norm"} or not held:
        return [[*spots[1:], spots[0]] for spots in _aligned_ties(held)]
    if kind in {"mm", "bmm", "addmm", "baddbmm", "matmul"}:
        return _product_ties(kind, held)
    if kind == "scaled_dot_product_attention":
        return _attention_ties(held)
    if kind in {"cat", "concat", "stack"}:
        return []
    return _weight_ties(kind, held, groups_of(operation)) or _aligned_ties(held)


def _is_given(held: Held) -> bool:
    return held.number < 0 and not held.name


_FIXED = frozenset("lstm gru embedding mkldnn_rnn_layer".split())


def varied(operation: Operation) -> Varied:
    """Find the lengths of an operator that hang on parameters.

    Args:
        operation: as recorded.

    Returns:
        The same with its variables; none for operators whose own sizes cannot be followed, which cost what they cost
        in the dense model.
    """
    held = operation.held
    places: list[list[tuple[int, int] | None]] = [[None] * len(h.shape) for h in held]
    if operation.kind in _FIXED:
        return Varied(operation, (), tuple(map(tuple, places)))
    if operation.kind in {"cat", "concat"}:
        return _joined(operation)
    if 1 < groups_of(operation) < held[0].shape[1]:
        return _grouped(operation)
    variables: list[Variable] = []
    taken: set[_Spot] = set()
    groups = groups_of(operation)
    # The kernel of a convolution and the images it runs over are as large as ever.
    free = [] if _is_convolution(operation.kind) else list(enumerate(held))
    singles = [[(i, d)] for i, h in free for d in range(len(h.shape))]
    for spots in [*_ties(operation), *singles]:
        size = max(held[i].shape[d] for i, d in spots)
        mine = [(i, d) for i, d in spots if held[i].shape[d] == size and (i, d) not in taken]
        forms = either(held[i].forms[d] for i, d in mine)
        taken.update(spots)
        if size > 1 and forms and not any(_is_given(held[i]) for i, d in spots):
            for i, d in mine:
                places[i][d] = (len(variables), 1)
            variables.append(Variable(size, forms, _multiple(operation)))
    return Varied(operation, tuple(variables), tuple(map(tuple, places)), groups)


def _multiple(operation: Operation) -> int:
    return int(operation.args[1]) if operation.kind == "group_norm" else 1


def _grouped(operation: Operation) -> Varied:
    """A convolution in groups: inputs of one group, and all outputs. How many groups there are scales its cost."""
    groups, held = groups_of(operation), operation.held
    turned = "transpose" in operation.kind
    inputs, outputs = held[0].shape[1] // groups, held[1].shape[1 if turned else 0] * (groups if turned else 1)
    rows, columns = held[1].forms[0], held[1].forms[1]
    variables = (
        Variable(inputs, scaled(rows, 1 / groups) if turned else columns),
        Variable(outputs // groups, columns if turned else scaled(rows, 1 / groups)),
    )
    places: list[list[tuple[int, int] | None]] = [[None] * len(h.shape) for h in held]
    places[0][1] = (0, groups)
    places[1][:2] = [(0, groups), (1, 1)] if turned else [(1, groups), (0, 1)]
    for bias in places[2:]:
        bias[0] = (1, groups)
    return Varied(operation, variables, tuple(map(tuple, places)), groups)


def _joined(operation: Operation) -> Varied:
    """Tensors laid end to end cost by what they are together: each shrinks in proportion."""
    held, out = operation.held, operation.outs[0]
    along = (operation.args[1] if len(operation.args) > 1 else 0) % len(out.shape)
    variables: list[Variable] = []
    places: list[list[tuple[int, int] | None]] = [[None] * len(h.shape) for h in held]
    for d, size in enumerate(out.shape):
        if size > 1 and out.forms[d]:
            for mine in places:
                mine[d] = (len(variables), 0 if d == along else 1)
            variables.append(Variable(size, out.forms[d]))
    return Varied(operation, tuple(variables), tuple(map(tuple, places)))


def shapes_at(it: Varied, lengths: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes of an operator's tensors.

    Args:
        it: the operator.
        lengths: one per variable.

    Returns:
        One shape per tensor it takes.
    """
    found = []
    for held, places in zip(it.operation.held, it.places, strict=True):
        shape = list(held.shape)
        for d, place in enumerate(places):
            if place is not None:
                variable, times = place
                share = lengths[variable] / it.variables[variable].size
                shape[d] = times * lengths[variable] if times else max(1, round(held.shape[d] * share))
        found.append(tuple(shape))
    return found


def _made(held: Held, shape: Sequence[int], device: torch.device, *, ones: bool) -> Tensor:
    laid = torch.empty([shape[d] for d in held.order], dtype=held.dtype, device=device)
    laid = laid.permute([held.order.index(d) for d in range(len(shape))])
    if not held.dtype.is_floating_point:
        return laid.fill_(1 if held.dtype == torch.bool else 0)
    # Values near one: none that underflow or overflow however often an operator is repeated.
    return laid.fill_(1) if ones else laid.uniform_(0.5, 1.0)


def arguments_at(it: Varied, lengths: Sequence[int], device: torch.device) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Fresh arguments for an operator, of other lengths.

    Args:
        it: the operator.
        lengths: one per variable.
        device: where to make the tensors.

    Returns:
        Positional and keyword arguments.
    """
    operation = it.operation
    shapes = iter(shapes_at(it, lengths))
    ones = bool(operation.op._schema.is_mutable)
    args, kwargs = tree_map(
        lambda x: _made(x, next(shapes), device, ones=ones) if isinstance(x, Held) else x,
        (operation.args, dict(operation.kwargs)),
    )
    if it.groups > 1 and it.groups == operation.held[0].shape[1] and it.variables:
        args = (*args[:6], args[0].shape[1], *args[7:])
    if operation.kind in {"layer_norm", "rms_norm"} and it.variables:
        args = (args[0], list(args[0].shape[-len(args[1]) :]), *args[2:])
    return args, kwargs
