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
        self.struck: list[tuple[Group, Slice, int, Places]] = []

    def strike(self, group: Group, where: Slice, units: Places) -> None:
        """Note what some units of a group own in one of its slices.

        Raises:
            GroupError: units that are no whole rows and columns.
        """
        if where.dim is None or where.index is None:
            raise GroupError(
                f"the units of group {group.name!r} are {group.kind}s inside of {where.tensor!r}: they can be "
                "masked, not cut out; shrink takes groups of whole rows and columns, such as channels and heads"
            )
        axis = where.dim % len(where.shape)
        place = self.axes.get((where.tensor, axis))
        if place is None:
            place = self.axes[where.tensor, axis] = self.count, self.count + where.shape[axis]
            self.count = place[1]
        self.struck.append((group, where, place[0], where.index.cpu().numpy().take(units, axis=0).ravel()))

    def stays(self) -> NDArray[np.bool_]:
        """Whether each position stays. A `GroupError` where a group names one that its axis does not have."""
        stays = np.ones(self.count, bool)
        if self.struck:
            lengths = [len(places) for *_, places in self.struck]
            places = np.concatenate([places for *_, places in self.struck])
            size = np.repeat([where.shape[where.dim or 0] for _, where, *_ in self.struck], lengths)
            if not ((places >= 0) & (places < size)).all():
                self._complain()
            stays[places + np.repeat([begin for _, _, begin, _ in self.struck], lengths)] = False
        return stays

    def _complain(self) -> None:
        for group, where, _, places in self.struck:
            size = where.shape[where.dim or 0]
            if len(places) and not 0 <= places.min() <= places.max() < size:
                raise GroupError(
                    f"group {group.name!r} names positions {places.min()} to {places.max()} of an axis of "
                    f"{where.tensor!r} that has {size}; make the groups anew from this model"
                )


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
        units = np.flatnonzero(~keep[group.name].cpu().numpy())
        for where in (*group.slices, *group.buffers):
            row.strike(group, where, units)
    stays, kept = row.stays(), dict[str, dict[int, Tensor]]()
    for (name, axis), (begin, end) in row.axes.items():
        left = np.flatnonzero(stays[begin:end])
        if not len(left):
            raise GroupError(f"the groups together would remove all of axis {axis} of {name!r}; keep more of them")
        kept.setdefault(name, {})[axis] = torch.from_numpy(left)
    return kept
