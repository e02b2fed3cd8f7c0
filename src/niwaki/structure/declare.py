"""Groups declared by hand: single weights, blocks of weights, N of every M weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral

from torch import nn

from ..core.errors import GroupError
from ..core.group import Group, Groups, Pattern, Slice
from ..core.names import bare_model, parameters_of, plain_name
from .cutting import why_not_itself
from .selecting import Names, names_of, tensors_named

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_MATRIX_MODULES = (
    nn.Linear,
    nn.Bilinear,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.RNNCellBase,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    *_TRANSPOSED,
)


_STATED = (("out_features", "in_features"), ("out_channels", "in_channels"), ("nf", "nx"))
"""How layers of other libraries state their sizes; the last is `Conv1D` of transformers, a linear layer transposed."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    name: str
    owner: nn.Module
    parameter: nn.Parameter


def _inputs_first(owner: nn.Module, parameter: nn.Parameter) -> bool | None:
    """Whether a layer's weight has its inputs before its outputs; None if the owner is no layer that says so."""
    if isinstance(owner, _MATRIX_MODULES):
        return isinstance(owner, _TRANSPOSED)
    first, second = parameter.shape[:2]
    for outputs, inputs in _STATED:
        out, into = getattr(owner, outputs, None), getattr(owner, inputs, None)
        if not isinstance(out, int) or not isinstance(into, int):
            continue
        parts = getattr(owner, "groups", 1)
        straight = first == out and second * (parts if isinstance(parts, int) else 1) == into
        turned = (first, second) == (into, out)
        if turned or straight:
            return turned and (outputs == "nf" or not straight)
    return None


def _candidates(model: nn.Module, ignore: Names, also: str | Sequence[str]) -> tuple[list[_Candidate], dict[str, str]]:
    skip, asked = (tensors_named(model, names_of(model, chosen)) for chosen in (ignore, also))
    owners = {plain_name(name): module for name, module in bare_model(model).named_modules()}
    everything = parameters_of(model)
    found, left = [], {}
    for name, parameter in everything.items():
        owner = owners[name.rpartition(".")[0]]
        if name in skip:
            left[name] = "ignored, as you asked"
        elif not parameter.is_floating_point():
            left[name] = f"not a floating-point tensor ({parameter.dtype})"
        elif parameter.numel() == 0:
            left[name] = "holds no elements"
        elif name in asked:
            found.append(_Candidate(name, owner, parameter))
        elif parameter.dim() < 2:
            left[name] = "a vector (bias, norm); name it in also= to prune it"
        elif why := why_not_itself(name, owner):
            left[name] = f"{why}, or name it in also="
        elif _inputs_first(owner, parameter) is None:
            left[name] = (
                f"belongs to {type(owner).__name__}, not to a linear, convolution or recurrent layer; name it in also="
            )
        else:
            found.append(_Candidate(name, owner, parameter))
    return found, left


def _outputs(c: _Candidate) -> int:
    """The axis of the outputs, which transposed layers keep second."""
    return 1 if c.parameter.dim() > 1 and _inputs_first(c.owner, c.parameter) else 0


def _parts(c: _Candidate) -> int:
    """How many groups of inputs share the first axis of a transposed convolution; each has outputs of its own."""
    if isinstance(c.owner, _TRANSPOSED) and c.parameter.dim() > 1 and c.parameter.shape[0] == c.owner.in_channels:
        return c.owner.groups
    return 1


def _order(c: _Candidate, *, inputs_last: bool) -> tuple[int, ...] | None:
    """The axes with the outputs first. None if they lie so already."""
    count, outputs = c.parameter.dim(), _outputs(c)
    inputs = 1 - outputs
    kernel = range(2, count)
    axes = (outputs, *kernel, inputs) if inputs_last else (outputs, inputs, *kernel)
    return None if count < 2 or axes == tuple(range(count)) else axes


def _declare(
    model: nn.Module,
    ignore: Names,
    also: str | Sequence[str],
    make: Callable[[_Candidate], Group | str],
) -> Groups:
    found, left = _candidates(model, ignore, also)
    groups = []
    for candidate in found:
        made = make(candidate)
        if isinstance(made, Group):
            groups.append(made)
        else:
            left[candidate.name] = made
    if not groups:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(left.items())[:5]) or "it has no parameters"
        raise GroupError(f"nothing in {type(model).__name__} can be pruned this way ({reasons})")
    return Groups(tuple(groups), left)


def weights(model: nn.Module, *, ignore: Names = (), also: str | Sequence[str] = ()) -> Groups:
    """Every single weight a unit: one group per weight tensor.

    Args:
        model: the model. Tensors that several modules share are counted once.
        ignore: names, name patterns (``"layer1.*"``) or modules to leave alone.
        also: names or patterns of tensors to prune although they are no layer weight (embeddings, bare parameters).

    Returns:
        The groups, with the reason for every parameter left out in ``left_out``.

    >>> groups = weights(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    >>> [(g.name, g.size) for g in groups]
    [('0.weight', 12), ('2.weight', 6)]
    """

    def make(c: _Candidate) -> Group:
        where = Slice(c.name, tuple(c.parameter.shape), outputs=_outputs(c), parts=_parts(c))
        return Group(c.name, c.parameter.numel(), (where,))

    return _declare(model, ignore, also, make)


def _is_count(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) > 0


def blocks(model: nn.Module, shape: tuple[int, int], *, ignore: Names = (), also: str | Sequence[str] = ()) -> Groups:
    """Every block of ``shape`` a unit, in the matrix ``[outputs, everything else]`` of each weight tensor.

    Args:
        model: the model.
        shape: rows and columns of a block. Blocks at the border may be smaller, and count as one unit.
        ignore: as for `weights`.
        also: as for `weights`.

    Returns:
        The groups.

    Raises:
        GroupError: the shape is not two positive numbers, or nothing can be cut.

    >>> [g.size for g in blocks(nn.Linear(8, 6), (4, 4))]
    [4]
    """
    if not isinstance(shape, Sequence) or len(shape) != 2 or not all(_is_count(side) for side in shape):
        raise GroupError(f"a block needs a number of rows and one of columns, such as (4, 4), not {shape!r}")
    rows, cols = shape

    def make(c: _Candidate) -> Group | str:
        axes = _order(c, inputs_last=False)
        height = c.parameter.shape[axes[0] if axes else 0] if c.parameter.dim() > 1 else 1
        width = c.parameter.numel() // height
        if height < rows and width < cols:
            return f"a matrix of {height} x {width} is smaller than one {rows} x {cols} block"
        size = -(-height // rows) * -(-width // cols)
        where = Slice(c.name, tuple(c.parameter.shape), tile=(rows, cols), axes=axes)
        return Group(c.name, size, (where,), kind="block")

    return _declare(model, ignore, also, make)


def n_of_m(model: nn.Module, n: int, m: int, *, ignore: Names = (), also: str | Sequence[str] = ()) -> Groups:
    """Of every ``m`` consecutive weights along the inputs, ``n`` stay (2:4 and its kin).

    Consecutive means along the input features of a linear layer and along the input channels of a convolution, which is
    the layout that sparse matrix kernels read. Layers whose inputs (of a convolution in groups, those of one group) are
    not a multiple of ``m`` are left out, with the reason.

    Args:
        model: the model.
        n: how many stay.
        m: of how many.
        ignore: as for `weights`.
        also: as for `weights`.

    Returns:
        The groups; their density is fixed at ``n / m``.

    Raises:
        GroupError: not ``0 < n < m``, or nothing can be cut.

    >>> [(g.size, g.pattern) for g in n_of_m(nn.Linear(8, 2), 2, 4)]
    [(16, Pattern(n=2, m=4))]
    """
    if not (_is_count(n) and _is_count(m) and n < m):
        raise GroupError(f"{n} of {m} is no pattern; it needs 0 < n < m")

    def make(c: _Candidate) -> Group | str:
        shape, axes = tuple(c.parameter.shape), _order(c, inputs_last=True)
        inputs = shape[axes[-1] if axes else -1] // _parts(c) if shape else 1
        if inputs % m:
            return f"its {inputs} inputs are not a multiple of {m}"
        where = Slice(c.name, shape, axes=axes)
        return Group(c.name, math.prod(shape), (where,), kind=f"{n}:{m}", pattern=Pattern(n, m))

    return _declare(model, ignore, also, make)
