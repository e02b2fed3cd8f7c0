"""Budgets of cost: the share of the dense latency, MACs, parameters or bytes that may stay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..core.costs import CostBudget, Limit, Prices
from ..core.errors import BudgetError
from ..core.group import Group

_COUNTED = {"s": "seconds", "MACs": "MACs", "parameters": "parameters", "bytes": "bytes"}


def _check(budget: str, most: object, prices: object, *, absolute: bool) -> None:
    if isinstance(most, bool) or not isinstance(most, Real) or not 0 < float(most) < math.inf:
        raise BudgetError(f"{budget}({most!r}): the most that may stay is a number above 0; 0.5 keeps half of the cost")
    if not absolute and float(most) > 1:
        raise BudgetError(
            f"{budget}({most!r}): a number above 1 is no share of the dense cost; give a share such as 0.5, or say "
            f"{budget}({most!r}, ..., absolute=True)"
        )
    if not callable(getattr(prices, "cost", None)):
        parts = [name for name in ("macs", "parameters", "bytes") if hasattr(prices, name)]
        hint = f"one of its parts, .{' or .'.join(parts)}" if parts else "a latency table or counted prices"
        raise BudgetError(f"{budget}: {type(prices).__name__} makes no costs for groups; give {hint}")


def _limit(budget: Any, unit: str, prices: Prices, groups: Sequence[Group]) -> tuple[Limit, ...]:
    cost = prices.cost(groups)
    name = type(budget).__name__
    if cost.unit and cost.unit != unit:
        raise BudgetError(
            f"{name} limits {_COUNTED[unit]}, but these prices count {_COUNTED.get(cost.unit, cost.unit)}; "
            "give the prices that belong to it"
        )
    if not 0 < cost.dense < math.inf:
        raise BudgetError(f"{name}: the dense model costs {cost.dense!r}; a share of that means nothing")
    return (Limit(cost, float(budget.most) if budget.absolute else float(budget.most) * cost.dense),)


@dataclass(frozen=True)
class Latency:
    """At most this share of the dense latency.

    Args:
        most: the share of what the dense model takes by the table, above 0 and at most 1; or seconds.
        prices: the table, such as `latency_table` makes.
        absolute: whether ``most`` is seconds.
    """

    most: float
    prices: Prices
    absolute: bool = False

    def __post_init__(self) -> None:
        _check("Latency", self.most, self.prices, absolute=self.absolute)

    def limits(self, groups: Sequence[Group]) -> tuple[Limit, ...]:
        """The limit in seconds."""
        return _limit(self, "s", self.prices, groups)


@dataclass(frozen=True)
class Macs:
    """At most this share of the dense model's multiplications (MACs).

    Args:
        most: the share, above 0 and at most 1; or a number of MACs.
        prices: counted, such as ``counted(model, example).macs``.
        absolute: whether ``most`` is a number of MACs.
    """

    most: float
    prices: Prices
    absolute: bool = False

    def __post_init__(self) -> None:
        _check("Macs", self.most, self.prices, absolute=self.absolute)

    def limits(self, groups: Sequence[Group]) -> tuple[Limit, ...]:
        """The limit in MACs."""
        return _limit(self, "MACs", self.prices, groups)


@dataclass(frozen=True)
class Parameters:
    """At most this share of the dense model's parameters.

    Args:
        most: the share, above 0 and at most 1; or a number of parameters.
        prices: counted, such as ``counted(model, example).parameters``.
        absolute: whether ``most`` is a number of parameters.
    """

    most: float
    prices: Prices
    absolute: bool = False

    def __post_init__(self) -> None:
        _check("Parameters", self.most, self.prices, absolute=self.absolute)

    def limits(self, groups: Sequence[Group]) -> tuple[Limit, ...]:
        """The limit in parameters."""
        return _limit(self, "parameters", self.prices, groups)


@dataclass(frozen=True)
class Bytes:
    """At most this share of the bytes that the dense model's tensors take.

    Args:
        most: the share, above 0 and at most 1; or a number of bytes.
        prices: counted, such as ``counted(model, example).bytes``.
        absolute: whether ``most`` is a number of bytes.
    """

    most: float
    prices: Prices
    absolute: bool = False

    def __post_init__(self) -> None:
        _check("Bytes", self.most, self.prices, absolute=self.absolute)

    def limits(self, groups: Sequence[Group]) -> tuple[Limit, ...]:
        """The limit in bytes."""
        return _limit(self, "bytes", self.prices, groups)


Budget = CostBudget | Limit | Sequence[CostBudget | Limit]


def limits_of(groups: Sequence[Group], budget: Budget) -> tuple[Limit, ...]:
    """What a budget, or several, allow for these groups.

    Args:
        groups: the groups.
        budget: a budget such as `Latency`, a `Limit`, or several of them that all hold.

    Returns:
        The limits.

    Raises:
        BudgetError: it is no budget, a limit is not positive, or its cost is one of other groups.
    """
    several = budget if isinstance(budget, Sequence) else (budget,)
    limits: list[Limit] = []
    for one in several:
        if not isinstance(one, Limit) and not hasattr(one, "limits"):
            raise BudgetError(
                f"budget={one!r} is no budget of cost; give Latency(0.5, table), Macs, Parameters, Bytes, or several"
            )
        limits += [one] if isinstance(one, Limit) else one.limits(groups)
    if not limits:
        raise BudgetError("there is no budget: nothing would be taken away; give one, such as Latency(0.5, table)")
    for limit in limits:
        if not 0 < limit.most < math.inf:
            raise BudgetError(f"a limit of {limit.most!r} {limit.cost.unit} is not above 0; ask for more")
        for group in groups:
            if limit.cost.sizes.get(group.name) != group.size:
                have = limit.cost.sizes.get(group.name, "no")
                raise BudgetError(
                    f"group {group.name!r} has {group.size} units, but {have} in the cost; "
                    "make the cost from these groups"
                )
    return tuple(limits)
