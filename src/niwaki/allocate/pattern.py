"""The allocator for groups that keep n of every m units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ..core.contracts import Allocator
from ..core.errors import BudgetError, GroupError
from ..core.group import Group, Pattern
from ..core.top import top_of_each
from .budget import asked, score_of
from .local import Uniform

_TOLERANCE = 1e-3  # 0.333 may stand for 1/3


def _pattern_of(group: Group) -> Pattern:
    assert group.pattern is not None
    if group.size % group.pattern.m:
        raise GroupError(
            f"group {group.name!r} has {group.size} units, which is not a multiple of {group.pattern.m}; "
            "make the group with nw.n_of_m"
        )
    return group.pattern


def _kept(group: Group) -> int:
    pattern = _pattern_of(group)
    return group.size // pattern.m * pattern.n


def _best_of_each(group: Group, row: Tensor) -> Tensor:
    pattern = _pattern_of(group)
    keep = top_of_each(row, pattern.n, pattern.m)
    if row.is_floating_point() and bool((keep & row.isneginf()).any()):
        raise BudgetError(
            f"group {group.name!r} is to keep {pattern.n} of every {pattern.m} units, but in some of these sets fewer "
            "may be kept (the others score -inf); score the removed units"
        )
    return keep


@dataclass(frozen=True)
class Patterned:
    """N:M groups keep the ``n`` best of every ``m`` consecutive units; the others share what the density leaves them.

    The density of N:M groups is fixed. So if there are no others, the density asked must be theirs; otherwise the
    others get the units that are missing to ``round(density * units)``, shared out by ``rest``.

    Args:
        rest: the allocator for the groups without a pattern.

    >>> import torch
    >>> group = Group("w", 8, (), pattern=Pattern(2, 4))
    >>> Patterned()([group], {"w": torch.tensor([1.0, 2, 3, 4, 9, 8, 8, 8])}, 0.5)["w"].int().tolist()
    [0, 0, 1, 1, 1, 1, 0, 0]
    """

    rest: Allocator = field(default_factory=Uniform)

    def __call__(self, groups: Sequence[Group], scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name, ``True`` = kept.

        Args:
            groups: the groups, with or without a pattern.
            scores: ``[size]`` per group name.
            density: the share that stays, over all groups together.

        Returns:
            The booleans.

        Raises:
            BudgetError: the patterns do not leave room for the density.
        """
        count = asked(groups, density)
        patterned = [g for g in groups if g.pattern is not None]
        others = [g for g in groups if g.pattern is None]
        fixed, units = sum(_kept(g) for g in patterned), sum(g.size for g in groups)
        keep = {g.name: _best_of_each(g, score_of(g, scores)) for g in patterned}
        if others:
            left, room = count - fixed, sum(g.size for g in others)
            if not 0 < left <= room:
                raise BudgetError(
                    f"density {density} asks for {count} of {units} units, but the N:M groups keep {fixed} of them "
                    f"and the others hold {room}; ask for a density above {fixed / units:.6g} and at most "
                    f"{(fixed + room) / units:.6g}"
                )
            keep |= self.rest(others, scores, left / room)
        elif units and abs(density - fixed / units) > _TOLERANCE:
            raise BudgetError(
                f"density {density} cannot be met: the N:M groups keep {fixed} of {units} units; "
                f"give density={fixed / units:.6g}, or make groups of another pattern"
            )
        return {g.name: keep[g.name] for g in groups}
