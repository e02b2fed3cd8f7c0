"""A floor under every group: so many of its units stay, whatever an allocator would take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real

from ..core.errors import BudgetError
from ..core.group import Group, Groups


def _check(share: object) -> None:
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
        raise BudgetError(f"at least {share!r} of each group cannot stay; give a share from 0 to 1, such as 0.1")


def at_least(groups: Sequence[Group], share: float) -> Groups:
    r"""The groups with a floor: each keeps at least :math:`\lceil s\, n_g \rceil` of its units.

    A budget of cost alone may leave one channel of a layer, where it is dear, and everything has to pass through it.
    The floor is the groups' ``min_keep``, so that all allocators and methods that train hold it. Groups with a pattern
    keep what that says, and stay as they are; a higher ``min_keep`` stays.

    Args:
        groups: the groups.
        share: the least share of each group, 0 to 1.

    Returns:
        The same groups with their floors.

    >>> [group.min_keep for group in at_least([Group("a", 16, ()), Group("b", 10, ())], 0.25)]
    [4, 3]
    """
    _check(share)
    # 0.07 of 100 is 7, though the product of the two floats is a little more.
    floors = [max(group.min_keep, math.ceil(round(float(share) * group.size, 9))) for group in groups]
    raised = [
        group if group.pattern is not None else replace(group, min_keep=floor)
        for group, floor in zip(groups, floors, strict=True)
    ]
    return Groups(tuple(raised), groups.left_out if isinstance(groups, Groups) else {})
