"""Axes of tensors, whose positions carry atoms: positions with one atom live and die together.

Every rule of `rules/` says how an operator's axes relate, in the words of this file: two axes are the same (`unify`),
one is made of several (`merge`, `split`), one must stay as it is (`freeze`), or removing from it changes values
(`blur`). What that means for the parameters is worked out at the end, by `resolve`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
_ONE = "a single unit"


@dataclass(frozen=True, eq=False)
class Axis:
    """One axis of one tensor.

    Args:
        size: how many positions it has.
        ids: the atom of each position, or ``None`` where nothing can be removed.
        zero: whether the tensor is zero at positions whose unit is masked (all its parameters set to zero).
        parts: the axes it was merged from, outermost first.
        leaf: the parameter or buffer and the dimension, as long as the axis is one of a stored tensor.
        why: for an axis without atoms, the reason.
    """

    size: int
    ids: Ids | None = None
    zero: bool = False
    parts: tuple[Axis, ...] = ()
    leaf: tuple[str, int] | None = None
    why: str = ""

    @property
    def is_live(self) -> bool:
        """Whether anything can be removed from it."""
        return self.ids is not None


@dataclass(frozen=True, eq=False)
class Product:
    """Positions ``whole[i, j]`` stay where both ``outer[i]`` and ``inner[j]`` stay."""

    whole: Ids
    outer: Ids
    inner: Ids


@dataclass(frozen=True)
class Note:
    """A mark on atoms, with its reason."""

    ids: Ids
    why: str


@dataclass(frozen=True)
class Follower:
    """An integer attribute that counts the atoms of an axis: the groups of a convolution."""

    ids: Ids
    module: str
    attribute: str


def fixed(size: int, why: str) -> Axis:
    """An axis from which nothing can be removed."""
    return Axis(size, why=why)


@dataclass(eq=False)
class Space:
    """All atoms of one recording, and what the rules said about them."""

    count: int = 0
    pairs: list[tuple[Ids, Ids]] = field(default_factory=list)
    frozen: list[Note] = field(default_factory=list)
    blurred: list[Note] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)
    batches: list[Ids] = field(default_factory=list)
    made: list[Ids] = field(default_factory=list)
    plural: list[Ids] = field(default_factory=list)
    roles: dict[tuple[str, int], str] = field(default_factory=dict)
    _merged: dict[tuple[int, ...], Axis] = field(default_factory=dict)
    _split: dict[tuple[int, int], tuple[Axis, Axis, Axis]] = field(default_factory=dict)

    def fresh(self, size: int, *, zero: bool = False, leaf: tuple[str, int] | None = None) -> Axis:
        """An axis of new atoms; one of a single position is fixed, since it can only stay."""
        if size < 2:
            return Axis(size, leaf=leaf, zero=zero, why=_ONE)
        self.count += size
        return Axis(size, np.arange(self.count - size, self.count), zero=zero, leaf=leaf)

    def freeze(self, axis: Axis, why: str) -> None:
        """Nothing may be removed from this axis."""
        if axis.ids is not None:
            self.frozen.append(Note(axis.ids, why))

    def blur(self, axis: Axis, why: str) -> None:
        """Removing from this axis changes values elsewhere: masking and removing differ."""
        if axis.ids is not None:
            self.blurred.append(Note(axis.ids, why))

    def unify(self, *axes: Axis) -> Axis:
        """These axes are one. The first live one stands for all, zero if all are; a fixed one fixes all."""
        first = next((axis for axis in axes if axis.is_live), axes[0])
        for axis in axes:
            if axis is first or axis.ids is first.ids:
                continue
            if first.ids is not None and axis.ids is not None:
                self.pairs.append((first.ids, axis.ids))
            else:
                self.freeze(first, axis.why or "meets an axis that cannot be cut")
        return first if not first.zero or all(axis.zero for axis in axes) else replace(first, zero=False)

    def part(self, axis: Axis, index: Ids | slice) -> Axis:
        """Some positions of an axis."""
        if axis.ids is None:
            size = len(np.empty(axis.size)[index])
            return Axis(size, why=axis.why, zero=axis.zero)
        ids = axis.ids[index]
        return Axis(len(ids), ids, zero=axis.zero) if len(ids) > 1 else self._alone(axis, ids)

    def _alone(self, axis: Axis, ids: Ids) -> Axis:
        self.frozen.append(Note(ids, "a single position was taken out of it"))
        return Axis(len(ids), why="a single position", zero=axis.zero)

    def join(self, axes: Sequence[Axis]) -> Axis:
        """Axes one after the other, as in a concatenation; fixed positions stay fixed."""
        size, zero = sum(axis.size for axis in axes), all(axis.zero for axis in axes)
        if not any(axis.is_live for axis in axes):
            return Axis(size, why=next((axis.why for axis in axes if axis.why), ""), zero=zero)
        pieces = []
        for axis in axes:
            if axis.ids is None:
                held = self._held(axis.size, axis.why or "concatenated with a fixed tensor")
                pieces.append(held)
            else:
                pieces.append(axis.ids)
        return Axis(size, np.concatenate(pieces), zero=zero)

    def _held(self, size: int, why: str) -> Ids:
        self.count += size
        ids = np.arange(self.count - size, self.count)
        self.frozen.append(Note(ids, why))
        return ids

    def merge(self, parts: Sequence[Axis]) -> Axis:
        """Neighbouring axes made one, outermost first."""
        parts = [leaf for part in parts for leaf in (part.parts or (part,)) if leaf.size != 1]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return fixed(1, _ONE)
        live = [part for part in parts if part.is_live]
        size, zero = math.prod(part.size for part in parts), all(part.zero for part in live)
        if not live:
            return Axis(size, parts=tuple(parts), why=parts[0].why)
        key = tuple(id(part.ids) if part.is_live else -part.size for part in parts)
        if key not in self._merged:
            self._merged[key] = Axis(size, self._whole(parts), parts=tuple(parts))
        return replace(self._merged[key], parts=tuple(parts), zero=zero)

    def _whole(self, parts: Sequence[Axis]) -> Ids:
        """Atoms of a merged axis; two live factors make new ones, kept where both factors are."""
        inner = parts[-1]
        ids, wide = inner.ids, inner.size
        for part in reversed(parts[:-1]):
            if part.ids is None:
                ids = None if ids is None else np.tile(ids, part.size)
            elif ids is None:
                ids = np.repeat(part.ids, wide)
            else:
                self.count += part.size * wide
                whole = np.arange(self.count - part.size * wide, self.count)
                self.products.append(Product(whole.reshape(part.size, wide), part.ids, ids))
                ids = whole
            wide *= part.size
        assert ids is not None
        return ids

    def split(self, axis: Axis, outer: int) -> tuple[Axis, Axis]:
        """One axis cut in two, ``outer`` times the rest."""
        inner = axis.size // outer
        if outer == 1 or inner == 1:
            return (axis, fixed(1, _ONE)) if inner == 1 else (fixed(1, _ONE), axis)
        if axis.ids is None:
            return fixed(outer, axis.why), fixed(inner, axis.why)
        key = (id(axis.ids), outer)
        if key not in self._split:
            first, second = self.fresh(outer), self.fresh(inner)
            whole = axis.ids.reshape(outer, inner)
            assert first.ids is not None and second.ids is not None
            self.products.append(Product(whole, first.ids, second.ids))
            self._split[key] = first, second, axis  # the axis keeps its atoms alive, and with them the key
        first, second, _ = self._split[key]
        return replace(first, zero=axis.zero), replace(second, zero=axis.zero)
