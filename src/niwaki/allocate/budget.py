"""What every allocator checks and counts: densities, scores, the counts a group allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real

from torch import Tensor

from ..core.errors import BudgetError, SignalError
from ..core.group import Group, check_listed
from ..core.top import top


def check_density(density: object) -> float:
    """A density as a float, if it is one.

    Args:
        density: what the caller gave.

    Returns:
        The density.

    Raises:
        BudgetError: it is no number, or lies outside (0, 1].

    >>> check_density(1)
    1.0
    """
    if isinstance(density, bool) or not isinstance(density, Real):
        raise BudgetError(f"density {density!r} is not a number; give the share that stays, above 0 and at most 1")
    value = float(density)
    if not 0 < value <= 1:
        raise BudgetError(
            f"density {density!r} is outside (0, 1]; it is the share that stays: 0.1 keeps a tenth, 1 keeps all"
        )
    return value


def asked(groups: Sequence[Group], density: float) -> int:
    """How many units a density asks for: ``round(density * units)`` over all groups together."""
    return round(check_density(density) * sum(group.size for group in groups))


def level(group: Group, count: int) -> int:
    """The largest count not above ``count`` that the group allows: a multiple of ``multiple_of``, or all units."""
    return group.size if count >= group.size else count - count % group.multiple_of


def least(group: Group, share: float = 0.0) -> int:
    """The smallest count that the group allows, at least ``min_keep`` and at least ``share`` of its units."""
    wanted = max(group.min_keep, math.ceil(share * group.size))
    return min(group.size, -(-wanted // group.multiple_of) * group.multiple_of)


def unreachable(groups: Sequence[Group], count: int, ends: Mapping[str, tuple[int, int]]) -> BudgetError:
    """The error for a count that the groups cannot give; ``ends`` holds the least and the most of each group."""
    units = sum(group.size for group in groups)
    low, high = (sum(end[side] for end in ends.values()) for side in (0, 1))
    shown = ", ".join(f"{g.name}: {ends[g.name][0]} to {ends[g.name][1]} of {g.size}" for g in groups[:6])
    more = f", and {len(groups) - 6} more groups" if len(groups) > 6 else ""
    return BudgetError(
        f"the density asks for {count} of {units} units, but the groups can keep {low} to {high} "
        f"(density {low / units:.6g} to {high / units:.6g}); {shown}{more}. Ask for a density in between, "
        "change fixed densities and least shares, or leave groups out"
    )


def check_scores(groups: Sequence[Group], scores: Mapping[str, Tensor]) -> None:
    """Check that every group can be ranked, and that its scores are what `score_of` accepts.

    Args:
        groups: the groups.
        scores: their scores; ``-inf`` marks a unit that is not to be kept.

    Raises:
        BudgetError: a group keeps n of every m units, which only `Patterned` can do.
    """
    check_listed(groups)
    for group in groups:
        if group.pattern is not None:
            raise BudgetError(
                f"group {group.name!r} keeps {group.pattern.n} of every {group.pattern.m} units; "
                "wrap the allocator: Patterned(...)"
            )
        score_of(group, scores)


def score_of(group: Group, scores: Mapping[str, Tensor]) -> Tensor:
    """The scores of one group.

    Args:
        group: the group.
        scores: scores by group name.

    Returns:
        Its scores, ``[size]``.

    Raises:
        SignalError: they are missing, no tensor with values, of another size, or hold NaN or ``+inf``.
    """
    if not isinstance(scores, Mapping):
        raise SignalError(f"scores needs tensors by group name, as nw.score gives them, not a {type(scores).__name__}")
    found = scores.get(group.name)
    if found is None:
        raise SignalError(f"group {group.name!r} has no scores; score every group that is to be allocated")
    if not isinstance(found, Tensor) or found.is_meta:
        what = "on the meta device" if isinstance(found, Tensor) else f"of type {type(found).__name__}"
        raise SignalError(
            f"the scores of group {group.name!r} are {what}; give a tensor with a value for each of its {group.size} "
            "units, such as torch.tensor(...)"
        )
    if tuple(found.shape) != (group.size,):
        raise SignalError(
            f"group {group.name!r} has {group.size} units, but its scores have shape {tuple(found.shape)}; "
            f"a criterion gives one score per unit"
        )
    if found.is_floating_point() and not bool((found < math.inf).all()):
        bad = int((~(found < math.inf)).count_nonzero())
        raise SignalError(
            f"{bad} of {group.size} scores of group {group.name!r} are NaN or +inf; look for an overflow in the signals"
        )
    return found


def keep_top(groups: Sequence[Group], scores: Mapping[str, Tensor], counts: Mapping[str, int]) -> dict[str, Tensor]:
    """The given number of best units in each group; a `SignalError` if they cannot be ranked.

    Args:
        groups: the groups.
        scores: ``[size]`` per group name; ``-inf`` marks a unit that is not to be kept.
        counts: how many to keep, per group name.

    Returns:
        Booleans ``[size]`` per group name, ``True`` = kept.

    Raises:
        BudgetError: a count would take units whose score is ``-inf``.

    >>> import torch
    >>> group = Group("w", 4, ())
    >>> keep_top([group], {"w": torch.tensor([1.0, 4.0, 3.0, 2.0])}, {"w": 2})["w"].tolist()
    [False, True, True, False]
    """
    keep = {}
    for group in groups:
        row, count = score_of(group, scores), counts[group.name]
        keep[group.name] = top(row, count)
        if row.is_floating_point() and bool((keep[group.name] & row.isneginf()).any()):
            raise BudgetError(
                f"group {group.name!r} is to keep {count} units, but only {int((~row.isneginf()).count_nonzero())} of "
                f"{group.size} may be kept (the others score -inf); ask for less, or score the removed units"
            )
    return keep
