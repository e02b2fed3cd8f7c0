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
    axes, ids = [], [np.empty(0, np.int64)]
    for tensor in stored:
        for dim, axis in enumerate(tensor.axes):
            if axis.ids is not None:
                axes.append((tensor, dim))
                ids.append(axis.ids)
    unit, sizes = units.roots[np.concatenate(ids)], np.array([len(own) for own in ids])
    number = np.repeat(np.arange(len(ids)) - 1, sizes)
    place = np.arange(len(unit)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    free = units.frozen[unit] < 0
    if exact_only:
        free &= units.blurred[unit] < 0
    return _Places(unit[free], number[free], place[free], axes)


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
    first = np.full(len(units.roots), -1)
    first[places.unit[::-1]] = np.arange(len(places.unit))[::-1]  # of several places the last one written stands
    members = np.flatnonzero(first >= 0)
    members = members[np.argsort(first[members], kind="stable")]
    _, starts, family = np.unique(sums[members], return_index=True, return_inverse=True)
    by = np.argsort(family, kind="stable")
    pieces = np.split(members[by], np.cumsum(np.bincount(family))[:-1])
    for which in np.argsort(starts, kind="stable"):
        yield pieces[which]


@dataclass(frozen=True, eq=False)
class _Order:
    """For every atom the family whose unit it is, or -1, and which one it is there."""

    family: Ids
    rank: Ids


def _order(families: Sequence[Ids], count: int) -> _Order:
    family, rank = np.full(count, -1), np.full(count, -1)
    for which, members in enumerate(families):
        family[members] = which
        rank[members] = np.arange(len(members))
    return _Order(family, rank)


def _slices(
    places: _Places, families: Sequence[Ids], order: _Order, roles: Mapping[tuple[str, int], str]
) -> list[list[tuple[Stored, Slice]]]:
    """Where the units of each family lie, found for all at once: sorted by family, axis, unit and place."""
    of = order.family[places.unit]
    # Axis and place ascend already; one key, since sorting by each in turn takes as many sorts.
    key = (of * len(places.axes) + places.axis) * (order.rank.max(initial=0) + 1) + order.rank[places.unit]
    by = np.argsort(key, kind="stable")
    of, axis, place = of[by], places.axis[by], places.place[by]
    starts = np.flatnonzero(np.r_[True, (axis[1:] != axis[:-1]) | (of[1:] != of[:-1])]) if len(by) else by
    result: list[list[tuple[Stored, Slice]]] = [[] for _ in families]
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(by)], strict=False):
        which, (tensor, dim) = int(of[begin]), places.axes[axis[begin]]
        index = torch.from_numpy(place[begin:end].reshape(len(families[which]), -1).copy())
        role = roles.get((tensor.name, dim), "")
        result[which].append((tensor, Slice(tensor.name, tensor.shape, dim, index, role=role)))
    return result


def _name(slices: Sequence[Slice], kind: str) -> str:
    makers = [s.tensor for s in slices if s.role == "out"] or [s.tensor for s in slices]
    owner, _, leaf = makers[0].rpartition(".")
    if kind == "head":
        return owner.rpartition(".")[0] or owner or makers[0]
    return owner if owner and leaf in ("weight", "bias") else makers[0]


def _sizes(space: Space, units: Units, families: Sequence[Ids], order: _Order) -> list[list[Size]]:
    """The numbers in the model's code that fall with the units of each family, with each as much as with the others."""
    result: list[list[Size]] = [[] for _ in families]
    # A layer that is called twice is noted twice, and falls once.
    for follower in {(f.module, f.attribute): f for f in space.followers}.values():
        roots = units.roots[follower.ids]
        of = order.family[roots]
        for which in set(of.tolist()) - {-1}:
            counts = np.bincount(order.rank[roots[of == which]], minlength=len(families[which]))
            if counts.min() == counts.max():
                result[which].append(Size(follower.module, follower.attribute, int(counts[0])))
    return result


def _least(space: Space, units: Units, families: Sequence[Ids], order: _Order) -> list[int]:
    """How many units of each must stay: two, if an axis that they alone fill must keep more than one position."""
    least = [1] * len(families)
    for ids in space.plural:
        of = order.family[units.roots[ids]]
        if of[0] >= 0 and len(ids) == len(families[of[0]]) and (of == of[0]).all():
            least[of[0]] = 2
    return least


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
    families = list(_families(places, units))
    order = _order(families, len(units.roots))
    rows = zip(
        families,
        _slices(places, families, order, space.roles),
        _sizes(space, units, families, order),
        _least(space, units, families, order),
        strict=True,
    )
    groups, names = [], Counter[str]()
    for members, found, sizes, least in rows:
        if len(members) <= least:
            continue
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
            sizes=tuple(sizes),
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
