"""Groups: what lives or dies together, and where it lies in the model's tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import torch
from torch import Tensor, nn

from .described import described
from .dynamics import Dynamics
from .errors import GroupError


@dataclass(frozen=True, eq=False)
class Slice:
    """Where the units of one group lie in one tensor.

    Two forms. With ``dim``, unit ``u`` owns the positions ``index[u]`` (``[size, k]``) along that axis. Without it, the
    tensor is permuted by ``axes``, flattened to a matrix ``[first axis, rest]`` and cut into tiles of ``tile`` rows and
    columns, in row-major order; a tile of ``(1, 1)`` makes every element a unit. Tiles at the border may be smaller.

    ``role`` says what the elements do for the unit, where whoever made the slice knows: ``out`` makes it (rows of a
    weight), ``bias`` is added to it, ``in`` reads it (columns of a later weight), ``scale`` and ``shift`` are a norm's
    weight and bias. Criteria may choose slices by it; an empty role is not known. ``outputs`` is the axis along
    which the outputs of the layer lie; where ``axes`` are given they begin with it. If it is not the first axis, that
    one may fall into ``parts``, each of which is read by outputs of its own: the groups of a transposed convolution.
    """

    tensor: str
    shape: tuple[int, ...]
    dim: int | None = None
    index: Tensor | None = None
    tile: tuple[int, int] = (1, 1)
    axes: tuple[int, ...] | None = None
    role: str = ""
    outputs: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Size:
    """A number in the model's code, ``module.attribute``, that loses ``per_unit`` for each removed unit."""

    module: str
    attribute: str
    per_unit: int = 1


@dataclass(frozen=True)
class Pattern:
    """At most ``n`` of every ``m`` consecutive units stay."""

    n: int
    m: int


@dataclass(frozen=True, eq=False)
class Group:
    """Units of one kind that share slices.

    ``size`` counts the units, ``multiple_of`` and ``min_keep`` bound how many may stay, ``exact`` says that masking and
    removing give the same function. ``pattern`` holds for N:M groups, whose density is fixed at ``n / m``.

    ``slices`` lie in parameters: setting those of a unit to zero removes it from the function. ``buffers`` are cut
    along but never masked: they lie in the model's buffers (running statistics, tables), or in parameters whose zero
    would remove nothing (the pole and the step of a state). ``sizes`` are the numbers in the model's code that fall
    with the units; ``needs_graph`` says that the code has sizes which no attribute controls, so that only a graph made
    of it can lose units. ``dynamics`` says, for states, how their linear systems are read from the parameters.
    ``whole`` is false where slices were left out, so that the group is good for masks and nothing can be cut by it.
    """

    name: str
    size: int
    slices: tuple[Slice, ...]
    kind: str = "weight"
    multiple_of: int = 1
    min_keep: int = 1
    exact: bool = True
    pattern: Pattern | None = None
    buffers: tuple[Slice, ...] = ()
    sizes: tuple[Size, ...] = ()
    dynamics: Dynamics | None = None
    needs_graph: bool = False
    whole: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class Groups(Sequence[Group]):
    """Groups of one model, with the reason for every tensor that was left out."""

    items: tuple[Group, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What a person wants to see first: the groups, and what was left out for which reason."""
        return described([(group.name, group.size, group.kind) for group in self.items], self.left_out)

    @overload
    def __getitem__(self, i: int) -> Group: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Group]: ...
    def __getitem__(self, i: int | slice) -> Group | Sequence[Group]:
        """The ``i``-th group, or several by a slice."""
        return self.items[i]

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self.items)

    def __iter__(self) -> Iterator[Group]:
        """The groups in the model's order."""
        return iter(self.items)

    @property
    def size(self) -> int:
        """Units in all groups together."""
        return sum(group.size for group in self.items)


def _matrix(where: Slice, tensor: Tensor) -> Tensor:
    permuted = tensor if where.axes is None else tensor.permute(where.axes)
    return permuted.reshape(permuted.shape[0], -1) if permuted.dim() > 1 else permuted.reshape(1, -1)


def gather(where: Slice, tensor: Tensor) -> Tensor:
    """The elements of each unit, ``[size, k]``; units cut off at a border are filled with zeros.

    Args:
        where: the slice.
        tensor: a tensor of ``where.shape``: the weight itself, its gradient, a mask ...

    Returns:
        A tensor ``[size, k]`` on the same device, of the same dtype.

    >>> gather(Slice("w", (2, 4), tile=(1, 2)), torch.arange(8).reshape(2, 4)).tolist()
    [[0, 1], [2, 3], [4, 5], [6, 7]]
    """
    if where.dim is not None:
        assert where.index is not None
        flat = tensor.movedim(where.dim, 0).reshape(tensor.shape[where.dim], -1)
        index = where.index.to(tensor.device)
        return flat[index].reshape(index.shape[0], -1)
    matrix = _matrix(where, tensor)
    rows, cols = where.tile
    if (rows, cols) == (1, 1):
        return matrix.reshape(-1, 1)
    down, across = -matrix.shape[0] % rows, -matrix.shape[1] % cols
    padded = nn.functional.pad(matrix, (0, across, 0, down))
    tall, wide = padded.shape[0] // rows, padded.shape[1] // cols
    return padded.reshape(tall, rows, wide, cols).transpose(1, 2).reshape(tall * wide, rows * cols)


def spread(where: Slice, values: Tensor) -> Tensor:
    """One value per unit, laid over the tensor: the inverse direction of `gather`.

    Args:
        where: the slice.
        values: ``[size]``.

    Returns:
        A tensor of ``where.shape``; elements that belong to no unit hold one, so that products are unharmed.

    >>> spread(Slice("w", (2, 4), tile=(1, 2)), torch.tensor([1, 2, 3, 4])).tolist()
    [[1, 1, 2, 2], [3, 3, 4, 4]]
    """
    if where.dim is not None:
        assert where.index is not None
        along = torch.ones(where.shape[where.dim], dtype=values.dtype, device=values.device)
        index = where.index.to(values.device)
        along[index.reshape(-1)] = values.repeat_interleave(index.shape[1])
        view = [1] * len(where.shape)
        view[where.dim] = -1
        return along.reshape(view).expand(where.shape)
    shape = where.shape if where.axes is None else tuple(where.shape[a] for a in where.axes)
    height, width = (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))
    rows, cols = where.tile
    matrix = values.reshape(-(-height // rows), -(-width // cols))
    if (rows, cols) != (1, 1):
        matrix = matrix.repeat_interleave(rows, 0).repeat_interleave(cols, 1)[:height, :width]
    laid = matrix.reshape(shape)
    return laid if where.axes is None else laid.permute([where.axes.index(i) for i in range(len(shape))])


def tensors_of(groups: Sequence[Group]) -> list[str]:
    """The tensors that criteria may read about groups: those of their slices and of their dynamics, each once."""
    names = [[*(where.tensor for where in g.slices), *(g.dynamics.tensors if g.dynamics else ())] for g in groups]
    return list(dict.fromkeys(name for group in names for name in group))


def check_listed(groups: object) -> None:
    """Check that these are groups.

    Args:
        groups: what was given for them.

    Raises:
        GroupError: something else.
    """
    listed = isinstance(groups, Sequence) and not isinstance(groups, str)
    other = next((one for one in groups if not isinstance(one, Group)), None) if listed else groups  # type: ignore[attr-defined]
    if other is not None:
        raise GroupError(
            f"groups are needed, such as niwaki.weights(model) gives, and this is of type {type(other).__name__}; "
            "are the arguments in their order?"
        )


def check_groups(groups: Sequence[Group], tensors: Mapping[str, Tensor]) -> None:
    """Check that groups and tensors belong together.

    Args:
        groups: the groups.
        tensors: the model's parameters by qualified name.

    Raises:
        GroupError: nothing to prune, a tensor that is gone, or one whose shape has changed since the groups were made.
    """
    check_listed(groups)
    if not groups:
        raise GroupError("there are no groups: nothing can be pruned here; `groups.left_out` has the reasons")
    seen: set[str] = set()
    for group in groups:
        if group.name in seen:
            raise GroupError(f"two groups are called {group.name!r}; give each its own name")
        seen.add(group.name)
        if group.size < 1 or not group.slices:
            raise GroupError(f"group {group.name!r} has no parameters; leave it out")
        for where in group.slices:
            if where.tensor not in tensors:
                raise GroupError(
                    f"group {group.name!r} names the tensor {where.tensor!r}, which the model does not have; "
                    "make the groups anew from this model"
                )
            shape = tuple(tensors[where.tensor].shape)
            if shape != where.shape:
                raise GroupError(
                    f"group {group.name!r}: the tensor {where.tensor!r} had shape {where.shape} when "
                    f"the group was made and has {shape} now; make the groups anew after changing the model"
                )


def is_structured(groups: Sequence[Group]) -> bool:
    """Whether units are channels, heads or states, which lie along axes, and not single weights or blocks of them."""
    check_listed(groups)
    return any(where.dim is not None for group in groups for where in group.slices)
