"""Which units to keep within a budget of cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from torch import Tensor

from ..core.costs import Limit
from ..core.errors import BudgetError
from ..core.group import Group
from .cost import Budget, limits_of
from .coupled import Places, Problem
from .greedy_knapsack import choose_greedily
from .ladders import ladders_of
from .multiple_choice import choose
from .spending import spend

Method = Literal["exact", "greedy"]
Check = Callable[[Mapping[str, Tensor]], bool]

_TIGHTER = 0.95
_TRIES = 6
_SHOWN = 4


def _unreachable(problem: Problem, places: Places) -> BudgetError:
    counts = problem.counts(places)
    parts = []
    for limit in problem.limits:
        cost = limit.cost(counts)
        if cost <= limit.most:
            continue
        held = {g.group.name: cost - limit.cost({**counts, g.group.name: 0}) for g in problem.ladders}
        names = sorted(held, key=lambda name: -held[name])[:_SHOWN]
        shown = ", ".join(f"{name} ({counts[name]} units, {held[name]:.4g})" for name in names)
        unit, dense = limit.cost.unit, limit.cost.dense
        parts.append(
            f"at most {limit.most:.6g} {unit} are asked for ({limit.most / dense:.4g} of the dense cost), but "
            f"min_keep, multiple_of, step and base keep at least {cost:.6g} of {dense:.6g} {unit} "
            f"({cost / dense:.4g}), {limit.cost.fixed:.4g} of it outside the groups; most is held by {shown}"
        )
    return BudgetError(f"the budget cannot be met: {'; '.join(parts)}. Ask for more, or lower what holds it")


def _solved(problem: Problem, method: Method, steps: int) -> Places:
    places = spend(problem, choose if method == "exact" else choose_greedily, steps)
    if not problem.fits(places):
        raise _unreachable(problem, places)
    return places


def _kept(problem: Problem, places: Places) -> dict[str, Tensor]:
    counts = problem.counts(places)
    return {g.group.name: g.keep(counts[g.group.name]) for g in problem.ladders}


def _tighter(problem: Problem, places: Places) -> Problem:
    """The same with limits that these places exceed, all of them."""
    costs = [min(limit.most, float(cost)) for limit, cost in zip(problem.limits, problem.costs(places), strict=True)]
    limits = [Limit(limit.cost, _TIGHTER * cost) for limit, cost in zip(problem.limits, costs, strict=True)]
    return Problem(problem.ladders, limits)


def _passing(problem: Problem, check: Check, solve: Callable[[Problem], Places]) -> Places:
    refused: list[Places] = []
    while len(refused) < _TRIES:
        try:
            places = solve(problem)
        except BudgetError:
            if not refused:
                raise
            break
        if check(_kept(problem, places)):
            return places
        refused.append(places)
        problem = _tighter(problem, places)
    costs = zip(problem.limits, problem.costs(refused[-1]), strict=True)
    shown = ", ".join(f"{cost / limit.cost.dense:.3f} of the dense {limit.cost.unit}" for limit, cost in costs)
    raise BudgetError(
        f"check= refused {len(refused)} plans, the last of them at {shown}; ask for a smaller budget, or leave out "
        "groups that make nothing cheaper when their units go"
    )


def knapsack(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    budget: Budget,
    *,
    step: int | Mapping[str, int] = 1,
    steps: int = 1000,
    method: Method = "exact",
    among: Mapping[str, Tensor] | None = None,
    base: Mapping[str, Tensor] | None = None,
    check: Check | None = None,
) -> dict[str, Tensor]:
    r"""The units worth most together within a budget of cost.

    .. math:: \max_k \sum_g \sum_{j \le k_g} s_{g,(j)} \quad \text{subject to} \quad \text{cost}(k) \le C

    where :math:`s_{g,(1)} \ge s_{g,(2)} \ge \dots` are the scores of a group. Each group keeps a count that it allows
    (``min_keep``, ``multiple_of``); units that score below zero only where a count needs them, ``-inf`` never. A limit
    is never exceeded: that is checked at the end, exactly, by the cost of the whole network.

    For one limit on a cost that is a sum over groups the result is the best there is, up to the rounding of costs to
    ``steps`` parts of the budget. Where the cost of a layer depends on two groups, as on what it reads and what it
    makes, or where several limits hold together, the best is searched for and not promised.

    Args:
        groups: the groups.
        scores: ``[size]`` per group name, higher = keep; comparable between groups, since they are added up.
        budget: such as ``Latency(0.5, table)``; a `Limit`; or several that all hold.
        step: counts are multiples of it, one for all groups or by name; a group's own ``multiple_of`` holds as well.
        steps: into how many parts the budget is cut.
        method: ``"exact"``, or ``"greedy"`` as in HALP.
        among: which units may be kept, by group name; all, if not given.
        base: which units are kept and paid in any case, by group name; the budget is for them and what is added.
        check: a last word on a plan, such as a measurement: given ``keep``, whether it will do. A plan that is refused
            is followed by one for a tighter budget, a few times.

    Returns:
        Booleans ``[size]`` per group name, ``True`` = kept.

    Raises:
        BudgetError: the budget cannot be met, or no plan passes the check.

    >>> import torch
    >>> from niwaki.core.costs import Axis, Layer, NetworkCost
    >>> layers = [Layer(n, (Axis(3, {n: 1}),), lambda k, c=c: c * k) for n, c in (("a", 1.0), ("b", 10.0))]
    >>> limit = Limit(NetworkCost(tuple(layers), {"a": 3, "b": 3}), most=22)
    >>> scores = {"a": torch.tensor([0.1, 0.2, 0.3]), "b": torch.tensor([3.0, 5.0, 4.0])}
    >>> keep = knapsack([Group("a", 3, ()), Group("b", 3, ())], scores, limit)
    >>> {name: row.int().tolist() for name, row in keep.items()}
    {'a': [0, 1, 1], 'b': [0, 1, 1]}
    """
    if not groups:
        raise BudgetError("there are no groups: nothing can be chosen; `groups.left_out` has the reasons")
    if method not in get_args(Method):
        raise BudgetError(f"method={method!r} is unknown; choose from {', '.join(get_args(Method))}")
    if steps < 1:
        raise BudgetError(f"steps={steps!r} cuts the budget into nothing; give 1 or more, such as 1000")
    problem = Problem(ladders_of(groups, scores, step, among, base), limits_of(groups, budget))

    def solve(one: Problem) -> Places:
        return _solved(one, method, steps)

    return _kept(problem, solve(problem) if check is None else _passing(problem, check, solve))
