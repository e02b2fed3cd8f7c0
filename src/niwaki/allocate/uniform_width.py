"""The same share of units in every group, as large as a budget of cost allows: the control for every other choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from torch import Tensor

from ..core.errors import BudgetError
from ..core.group import Group
from .budget import check_scores, keep_top, least, level
from .cost import Budget, limits_of


def _counts(groups: Sequence[Group], share: Fraction) -> dict[str, int]:
    return {g.name: max(least(g), level(g, int(share * g.size))) for g in groups}


def uniform_width(groups: Sequence[Group], scores: Mapping[str, Tensor], budget: Budget) -> dict[str, Tensor]:
    r"""One share of the units for all groups: the largest whose network costs no more than the budget.

    Group g keeps its best :math:`\lfloor s\, n_g \rfloor` units, rounded down to what it allows. Every share at which a
    count changes is tried, from 1 down, so that a cost that does not rise with the widths does no harm.

    Args:
        groups: the groups.
        scores: ``[size]`` per group name, higher = keep; they say which units stay, not how many.
        budget: such as ``Latency(0.5, table)``, a `Limit`, or several that all hold.

    Returns:
        Booleans ``[size]`` per group name, ``True`` = kept.

    Raises:
        BudgetError: even the least that the groups allow costs more.

    >>> import torch
    >>> from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
    >>> layer = Layer("l", (Axis(4, {"a": 1}), Axis(10, {"b": 1})), lambda a, b: a * b)
    >>> cost = NetworkCost((layer,), {"a": 4, "b": 10})  # half of each: 2 x 5; six tenths: 2 x 6
    >>> scores = {"a": torch.arange(4.0), "b": torch.arange(10.0)}
    >>> keep = uniform_width([Group("a", 4, ()), Group("b", 10, ())], scores, Limit(cost, 12))
    >>> {name: int(row.sum()) for name, row in keep.items()}
    {'a': 2, 'b': 6}
    """
    check_scores(groups, scores)
    limits = limits_of(groups, budget)
    shares = {Fraction(count, g.size) for g in groups for count in range(g.size + 1)}
    for share in sorted(shares, reverse=True):
        counts = _counts(groups, share)
        if all(limit.cost(counts) <= limit.most for limit in limits):
            return keep_top(groups, scores, counts)
    over = next(limit for limit in limits if limit.cost(counts) > limit.most)
    raise BudgetError(
        f"at most {over.most:.6g} {over.cost.unit} are asked for ({over.most / over.cost.dense:.4g} of the dense "
        f"cost), but min_keep and multiple_of keep at least {over.cost(counts):.6g} of {over.cost.dense:.6g} "
        f"({over.cost(counts) / over.cost.dense:.4g}); ask for more, lower them, or leave groups out"
    )
