"""Which positions of the axes of a model's tensors stay when only some units do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.errors import GroupError
from ..core.group import Group, Slice

Places = NDArray[np.int64]


class _Row:
    """All axes that lose something, end to end, so that what goes is struck out of them at once."""

    def __init__(self) -> None:
        self.axes: dict[tuple[str, int], tuple[int, int]] = {}
        self.count = 0
        self.struck: list[Places] = []

    def _place(self, group: Group, where: Slice) -> tuple[int, int]:
        if where.dim is None or where.index is None:
            raise GroupError(
                f"the units of group {group.name!r} are {group.kind}s inside of {where.tensor!r}: they can be "
                "masked, not cut out; shrink takes groups of whole rows and columns, such as channels and heads. "
                "nw.zeroed(model, groups, keep) puts zeros in their places"
            )
        axis = where.dim % len(where.shape)
        place = self.axes.get((where.tensor, axis))
        if place is None:
            place = self.axes[where.tensor, axis] = self.count, self.count + where.shape[axis]
            self.count = place[1]
        return place

    def strike(self, group: Group, units: Places) -> None:
        """Note what some units of a group own.

        Raises:
            GroupError: positions that an axis does not have.
        """
        slices = (*group.slices, *group.buffers)
        places = [self._place(group, where) for where in slices]
        indices = [where.index.cpu() for where in slices if where.index is not None]
        widths = [index.shape[1] for index in indices]
        own = torch.cat(indices, 1).numpy().take(units, axis=0)
        begins, ends = np.repeat(np.array(places), widths, axis=0).T
        outside = (own < 0) | (own >= ends - begins)
        if outside.any():
            where = slices[int(np.repeat(np.arange(len(slices)), widths)[outside.any(0)][0])]
            raise GroupError(
                f"group {group.name!r} names positions of {where.tensor!r} that its axis {where.dim} of "
                f"{where.shape[where.dim or 0]} does not have; make the groups anew from this model"
            )
        self.struck.append((own + begins).ravel())

    def stays(self) -> NDArray[np.bool_]:
        """Whether each position stays."""
        stays = np.ones(self.count, bool)
        if self.struck:
            stays[np.concatenate(self.struck)] = False
        return stays


def kept_positions(groups: Sequence[Group], keep: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
    """The positions that no group removes, ascending, by tensor and axis; axes that lose nothing are absent.

    Args:
        groups: the groups.
        keep: ``[size]`` booleans per group name; groups without an entry stay whole.

    Returns:
        Positions ``[n]`` on the CPU. A `GroupError` for units that are no whole rows and columns, or lie outside.

    Raises:
        GroupError: an axis of which nothing would be left.
    """
    row = _Row()
    for group in groups:
        if group.name not in keep or bool(keep[group.name].all()):
            continue
        row.strike(group, np.flatnonzero(~keep[group.name].cpu().numpy()))
    stays, kept = row.stays(), dict[str, dict[int, Tensor]]()
    for (name, axis), (begin, end) in row.axes.items():
        left = np.flatnonzero(stays[begin:end])
        if not len(left):
            raise GroupError(f"the groups together would remove all of axis {axis} of {name!r}; keep more of them")
        kept.setdefault(name, {})[axis] = torch.from_numpy(left)
    return kept
