"""From what the rules said to units: which atoms are one, which may go, and why the others may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .axes import Ids, Note, Product, Space


@dataclass(frozen=True, eq=False)
class Units:
    """The unit of every atom, and what is known of each.

    Args:
        roots: ``[atoms]``, the atom that stands for the unit.
        frozen: ``[atoms]``, the place in ``notes`` of the reason why a root may not go, or -1.
        blurred: the same for the reasons why removing a unit changes values.
        whole: ``[atoms]``, whether a root is an axis that other axes lie inside (a head).
        notes: the reasons why atoms may not go.
        blurs: the reasons why removal is not exact.
    """

    roots: Ids
    frozen: Ids
    blurred: Ids
    whole: NDArray[np.bool_]
    notes: Sequence[Note]
    blurs: Sequence[Note]


def joined(roots: Ids, pairs: Sequence[tuple[Ids, Ids]]) -> Ids:
    """Connected components: the least atom of each, found by hooking and jumping on whole arrays at once."""
    if not pairs:
        return roots
    left = np.concatenate([a.ravel() for a, _ in pairs])
    right = np.concatenate([b.ravel() for _, b in pairs])
    roots = roots.copy()
    while len(left):
        a, b = roots[left], roots[right]
        apart = a != b
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        # A root is hooked to a smaller root: no circles. Of several hooks the least wins; were it any other, the rest
        # would come one a round.
        np.minimum.at(roots, np.maximum(a, b), np.minimum(a, b))
        while True:
            jumped = roots[roots]
            if np.array_equal(jumped, roots):
                break
            roots = jumped
    return roots


def _marks(roots: Ids, notes: Sequence[Note]) -> Ids:
    marks = np.full(len(roots), -1)
    for place in range(len(notes) - 1, -1, -1):  # the first reason is the one that is told
        marks[roots[notes[place].ids]] = place
    return marks


def _forced(product: Product, held: NDArray[np.bool_]) -> str:
    if held[product.inner].all():
        return "outer"
    if held[product.outer].all():
        return "inner"
    return "none" if held[product.whole].all() else ""


def _preferred(product: Product, held: NDArray[np.bool_], worse: NDArray[np.bool_]) -> str:
    """Of two factors that both could be cut, the one that is cut: fewer obstacles, then the finer one."""

    def rank(ids: Ids) -> tuple[bool, bool, int]:
        return bool(held[ids].any()), bool(worse[ids].any()), -len(ids)

    return "outer" if rank(product.outer) <= rank(product.inner) else "inner"


def _link(product: Product, side: str) -> tuple[Ids, Ids]:
    outer, inner = product.whole.shape
    along = np.repeat(product.outer, inner) if side == "outer" else np.tile(product.inner, outer)
    return product.whole.ravel(), along


def _apart(roots: Ids, pending: Sequence[Product]) -> list[Product]:
    """Of all that hang together the first: what is decided for one changes nothing for the others."""
    ends = [np.concatenate((p.whole.ravel(), p.outer, p.inner)) for p in pending]
    along = joined(roots, [(ids, np.broadcast_to(ids[:1], ids.shape)) for ids in ends])
    firsts: dict[int, Product] = {}
    for product in pending:
        firsts.setdefault(int(along[product.outer[0]]), product)
    return list(firsts.values())


def resolve(space: Space) -> Units:
    """Join what belongs together, and decide along which factor each merged axis is cut.

    A merged axis could be cut along either factor; one of them is cut, the other stays whole. Heads come before what
    lies inside them; else the factor with fewer obstacles, else the finer one.

    Args:
        space: the atoms and what the rules said.

    Returns:
        The units.
    """
    roots = joined(np.arange(space.count), space.pairs)
    notes, pending = list(space.frozen), list(space.products)
    batches, made = (_flags(space.count, roots, marked) for marked in (space.batches, space.made))
    blurred = _flags(space.count, roots, [note.ids for note in space.blurred])
    while pending:
        marks = _marks(roots, notes)
        held = (marks >= 0)[roots]
        decided = [(product, _forced(product, held)) for product in pending]
        if not any(side for _, side in decided):
            heads = [(p, "outer") for p in pending if batches[roots[p.outer]].any() and not held[p.outer].any()]
            worse = (blurred | made)[roots]
            chosen = heads or [(p, _preferred(p, held, worse)) for p in _apart(roots, pending)]
            notes += [Note(p.inner if side == "outer" else p.outer, _WHOLE) for p, side in chosen]
            continue
        notes += [Note(ids, notes[marks[roots[p.whole.flat[0]]]].why) for p, side in decided if side == "none"
                  for ids in (p.outer, p.inner)]  # fmt: skip
        pending = [product for product, side in decided if not side]
        before = roots
        roots = joined(roots, [_link(product, side) for product, side in decided if side in ("outer", "inner")])
        batches, made, blurred = (_moved(flags, before, roots) for flags in (batches, made, blurred))
    whole = np.zeros(space.count, dtype=bool)
    for product in space.products:
        whole[roots[product.outer]] |= batches[roots[product.outer]]
    return Units(roots, _marks(roots, notes), _marks(roots, space.blurred), whole, notes, space.blurred)


_WHOLE = "lies inside an axis that is cut as a whole"


def _flags(count: int, roots: Ids, marked: Sequence[Ids]) -> NDArray[np.bool_]:
    flags = np.zeros(count, dtype=bool)
    for ids in marked:
        flags[roots[ids]] = True
    return flags


def _moved(flags: NDArray[np.bool_], before: Ids, after: Ids) -> NDArray[np.bool_]:
    moved = np.zeros_like(flags)
    moved[after[np.flatnonzero(flags[before])]] = True
    return moved
