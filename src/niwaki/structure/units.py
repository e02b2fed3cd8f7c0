"""From units to groups: which parameters each unit lies in, and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..core.group import Group, Size, Slice
from .axes import Axis, Ids, Space
from .resolve import Units


@dataclass(frozen=True, eq=False)
class Stored:
    """A parameter or buffer with the axes it had when the recording began."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    is_parameter: bool


@dataclass(frozen=True, eq=False)
class _Places:
    """Every removable position of every stored axis: its unit, its axis, its place. Sorted by axis, then place."""

    unit: Ids
    axis: Ids
    place: Ids
    axes: list[tuple[Stored, int]]


def _places(stored: Sequence[Stored], units: Units, *, exact_only: bool) -> _Places:
    axes = [(tensor, dim) for tensor in stored for dim, axis in enumerate(tensor.axes) if axis.ids is not None]
    unit, number, place = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for which, (tensor, dim) in enumerate(axes):
        ids = tensor.axes[dim].ids
        assert ids is not None
        roots = units.roots[ids]
        free = units.frozen[roots] < 0
        if exact_only:
            free &= units.blurred[roots] < 0
        unit.append(roots[free])
        place.append(np.flatnonzero(free))
        number.append(np.full(len(unit[-1]), which))
    return _Places(np.concatenate(unit), np.concatenate(number), np.concatenate(place), axes)


def _families(places: _Places, units: Units) -> Iterator[Ids]:
    """Units that lie in the same axes, as often: the ``[size]`` units of each group, in the order of the model."""
    if not len(places.unit):
        return
    # Each axis has a random word, each unit the sum over its positions: equal sums are equal axes. Seeded, so that the
    # same model has the same groups; a chance meeting of two sums of 64 bits is not going to happen.
    words = np.random.default_rng(0).integers(1, 2**63, size=len(places.axes) + 2, dtype=np.uint64)
    sums = np.zeros(len(units.roots), np.uint64)
    np.add.at(sums, places.unit, words[places.axis])
    sums[units.blurred >= 0] += words[-1]
    sums[units.whole] += words[-2]
    members, first = np.unique(places.unit, return_index=True)
    order = np.argsort(first, kind="stable")
    members = members[order]
    _, starts, family = np.unique(sums[members], return_index=True, return_inverse=True)
    for which in np.argsort(starts, kind="stable"):
        yield members[family == which]


def _spots(places: _Places, families: Sequence[Ids], count: int) -> Iterator[Ids]:
    """Which of all places belong to each family, found for all families at once."""
    family = np.full(count, -1)
    for which, members in enumerate(families):
        family[members] = which
    of_place = family[places.unit]
    order = np.argsort(of_place, kind="stable")
    bounds = np.searchsorted(of_place[order], np.arange(len(families) + 1))
    for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
        yield order[begin:end]


def _slices(places: _Places, mine: Ids, rank: Ids, roles: Mapping[tuple[str, int], str]) -> list[tuple[Stored, Slice]]:
    size = int(rank[places.unit[mine]].max()) + 1
    mine = mine[np.lexsort((places.place[mine], rank[places.unit[mine]], places.axis[mine]))]
    axis = places.axis[mine]
    starts = np.flatnonzero(np.r_[True, axis[1:] != axis[:-1]])
    result = []
    for begin, end in zip(starts, np.r_[starts[1:], len(mine)], strict=True):
        tensor, dim = places.axes[axis[begin]]
        index = torch.from_numpy(places.place[mine[begin:end]].reshape(size, -1).copy())
        role = roles.get((tensor.name, dim), "")
        result.append((tensor, Slice(tensor.name, tensor.shape, dim, index, role=role)))
    return result


def _name(slices: Sequence[Slice], kind: str) -> str:
    makers = [s.tensor for s in slices if s.role == "out"] or [s.tensor for s in slices]
    owner, _, leaf = makers[0].rpartition(".")
    if kind == "head":
        return owner.rpartition(".")[0] or owner or makers[0]
    return owner if owner and leaf in ("weight", "bias") else makers[0]


def _sizes(space: Space, units: Units, rank: Ids, count: int) -> Iterator[Size]:
    """The numbers in the model's code that fall with these units, with each as much as with the others."""
    # A layer that is called twice is noted twice, and falls once.
    for follower in {(f.module, f.attribute): f for f in space.followers}.values():
        ranks = rank[units.roots[follower.ids]]
        counts = np.bincount(ranks[ranks >= 0], minlength=count) if (ranks >= 0).any() else ranks[:0]
        if len(counts) and counts.min() == counts.max():
            yield Size(follower.module, follower.attribute, int(counts[0]))


def _least(space: Space, units: Units, members: Ids) -> int:
    """How many units must stay: two, if an axis that they alone fill must keep more than one position."""
    lone = [units.roots[ids] for ids in space.plural if len(ids) == len(members)]
    return 2 if any(np.isin(roots, members).all() for roots in lone) else 1


def make_groups(
    stored: Sequence[Stored], space: Space, units: Units, *, exact_only: bool = True
) -> list[tuple[Group, Ids]]:
    """Groups of units that lie in the same axes.

    Args:
        stored: parameters and buffers.
        space: what the rules said.
        units: what follows from it.
        exact_only: leave out units whose removal changes more than their masking.

    Returns:
        The groups with their units ``[size]``, by the first tensor they lie in. Kinds are ``channel`` and ``head``.
    """
    places = _places(stored, units, exact_only=exact_only)
    rank = np.full(len(units.roots), -1)
    groups, names = [], Counter[str]()
    families = list(_families(places, units))
    for members, spots in zip(families, _spots(places, families, len(units.roots)), strict=True):
        least = _least(space, units, members)
        if len(members) <= least:
            continue
        rank[members] = np.arange(len(members))
        found = _slices(places, spots, rank, space.roles)
        sizes = tuple(_sizes(space, units, rank, len(members)))
        rank[members] = -1
        slices = tuple(where for tensor, where in found if tensor.is_parameter)
        if not slices:
            continue
        kind = "head" if units.whole[members].all() else "channel"
        name = _name(slices, kind)
        names[name] += 1
        group = Group(
            name if names[name] == 1 else f"{name}#{names[name]}",
            len(members),
            slices,
            kind=kind,
            min_keep=least,
            exact=bool((units.blurred[members] < 0).all()),
            buffers=tuple(where for tensor, where in found if not tensor.is_parameter),
            sizes=sizes,
        )
        groups.append((group, members))
    return groups


def reasons(stored: Sequence[Stored], units: Units, groups: Sequence[Group], used: set[str]) -> dict[str, str]:
    """Why each parameter that no group cuts stays as it is."""
    cut = {where.tensor for group in groups for where in group.slices}
    return {
        tensor.name: _reason(tensor, units) if tensor.name in used else "not used in the forward pass"
        for tensor in stored
        if tensor.is_parameter and tensor.name not in cut
    }


def _reason(tensor: Stored, units: Units) -> str:
    told = []
    for axis in tensor.axes:
        if axis.ids is None:
            told.append(axis.why)
            continue
        roots = units.roots[axis.ids]
        marks = units.frozen[roots]
        if (marks >= 0).any():
            told.append(units.notes[marks[marks >= 0][0]].why)
            continue
        marks = units.blurred[roots]
        if (marks >= 0).any():
            told.append(f"{units.blurs[marks[marks >= 0][0]].why} (inexact=True allows it)")
        else:
            told.append("all its positions are one unit")
    return "; ".join(dict.fromkeys(word for word in told if word)) or "it has no axes"
