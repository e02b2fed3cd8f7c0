"""The allocator that ranks weights within the rows of their layer: every output keeps the same share of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.contracts import Allocator
from ..core.errors import BudgetError, GroupError
from ..core.gates import counts_of
from ..core.group import Group, Slice
from ..core.top import top
from .budget import check_scores
from .local import Uniform


def _outputs(group: Group) -> tuple[Slice, tuple[int, ...] | None]:
    """Where a group of weights lies; and, where rows lie across the order of its units, the shape of its tensor.

    Raises:
        GroupError: its units are no weights or blocks.
    """
    (where, *others) = group.slices
    if others or where.dim is not None:
        raise GroupError(
            f"the units of group {group.name!r} are {group.kind}s, which lie along axes: RowWise ranks single weights "
            "and blocks within the rows of their tensor; take Uniform or Global"
        )
    across = where.axes is None and where.outputs and where.tile == (1, 1)
    return where, where.shape if across else None


def _rows_of(group: Group, values: Tensor) -> Tensor:
    """One value per unit as a matrix: a row per output, of blocks per row of tiles."""
    where, shape = _outputs(group)
    if shape is not None:
        split = values.reshape(where.parts, -1, *shape[1:]).movedim(where.outputs + 1, 1)
        return split.flatten(0, 1).flatten(1)
    count = where.shape[0 if where.axes is None else where.axes[0]] if len(where.shape) > 1 else 1
    return values.reshape(-(-count // where.tile[0]), -1)


def _units_of(group: Group, matrix: Tensor) -> Tensor:
    """The inverse of `_rows_of`."""
    where, shape = _outputs(group)
    if shape is None:
        return matrix.flatten()
    first, *rest = [size for axis, size in enumerate(shape) if axis != where.outputs]
    split = matrix.reshape(where.parts, -1, first // where.parts, *rest)
    return split.movedim(1, where.outputs + 1).flatten()


def _best_of_rows(scores: Tensor, count: int) -> Tensor:
    """The best of a matrix, so many in all, row by row: first the best of each row, then the second best ..."""
    width = scores.shape[1]
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(width, device=order.device).expand_as(order))
    if scores.is_floating_point():
        ranks = ranks.masked_fill_(scores.isneginf(), width + 1)
    available = (ranks < width).sum(1)
    low, high = 0, width  # as many of each row as fit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if int(available.clamp(max=middle).sum()) <= count else (low, middle - 1)
    keep = ranks < low
    # The places left go to the best of those that come next in their rows.
    following = (ranks == low).flatten().nonzero().squeeze(1)
    best = top(scores.flatten()[following], min(count - int(keep.count_nonzero()), len(following)))
    return keep.flatten().index_fill_(0, following[best], value=True).view_as(keep)


@dataclass(frozen=True)
class RowWise:
    """Weights are ranked within the row of their output, so that every output keeps the same share of its inputs.

    How many a layer keeps is for another allocator to say; they are shared out evenly over its rows, and where that
    leaves a rest, those that come next in their rows take part in one ranking. The rows of a convolution are its
    filters; blocks are ranked within their row of tiles.

    Args:
        inner: how many stay in each layer.

    References:
        Sun et al. 2024, "A simple and effective pruning approach for large language models" (Wanda).

    >>> from niwaki.core import Slice
    >>> group = Group("w", 6, (Slice("w", (2, 3)),))
    >>> RowWise()([group], {"w": torch.tensor([1.0, 2, 3, 10, 20, 30])}, 0.5)["w"].view(2, 3).int().tolist()
    [[0, 0, 1], [0, 1, 1]]
    """

    inner: Allocator = field(default_factory=Uniform)

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept.

        Args:
            groups: of single weights or blocks.
            scores: ``[size]`` per group name.
            density: the share that stays, over all groups together.

        Returns:
            The booleans.

        Raises:
            BudgetError: more are to stay in a group than may.
        """
        check_scores(groups, scores)
        counts = counts_of(self.inner(groups, scores, density))
        keep = {}
        for group in groups:
            rows = _best_of_rows(_rows_of(group, scores[group.name]), counts[group.name])
            if int(rows.count_nonzero()) != counts[group.name]:
                raise BudgetError(f"group {group.name!r} is to keep {counts[group.name]} units, and fewer may be kept")
            keep[group.name] = _units_of(group, rows)
        return keep
