"""From a way to solve separable problems to a choice for costs that depend on each other."""

from __future__ import annotations

import numpy as np

from .coupled import Places, Problem
from .ladders import Real
from .multiple_choice import Solve

_ROUNDS = 10
_TRIES = 4
_FREE = 1e-12  # what costs less costs nothing


def best_places(problem: Problem) -> Places:
    """What would be chosen if nothing cost anything; of equal values the most units."""
    return [len(g.values) - 1 - int(np.argmax(g.values[::-1])) for g in problem.ladders]


def uniform_places(problem: Problem, top: Places) -> Places | None:
    """The same share of the way up in all ladders, as far as the limits let; none where even the lowest exceed."""
    low, high, found = 0.0, 1.0, [0] * len(top)
    if not problem.fits(found):
        return None
    for _ in range(12):
        share = (low + high) / 2
        places = [int(share * place) for place in top]
        if problem.fits(places):
            low, found = share, places
        else:
            high = share
    return found


def _near(problem: Problem, places: Places, reach: float) -> list[tuple[int, int]]:
    ends = []
    for ladder, place in zip(problem.ladders, places, strict=True):
        last = len(ladder.counts) - 1
        far = max(1, int(np.ceil(reach * last)))
        ends.append((max(0, place - far), min(last, place + far)))
    return ends


def _step(problem: Problem, solve: Solve, steps: int, places: Places, reach: float) -> Places | None:
    """The best choice near another one, if costs near it were the sums of what each group alone would change."""
    most = np.array([limit.most for limit in problem.limits])
    ends = _near(problem, places, reach)
    changes = [problem.change(i, places, *end) for i, end in enumerate(ends)]
    values = [g.values[low : high + 1] for g, (low, high) in zip(problem.ladders, ends, strict=True)]
    now = problem.costs(places)
    several = len(most) > 1
    weights = 1 / most / len(most) if several else np.ones(1)
    aim = most.copy()
    for _ in range(_TRIES * len(most)):
        chosen = solve([weights @ change for change in changes], values, float(weights @ (aim - now)), steps)
        if chosen is None:
            return None
        found = [low + place for (low, _), place in zip(ends, chosen, strict=True)]
        costs = problem.costs(found)
        if np.all(costs <= most):
            return found
        if several:
            weights = weights * (costs / most) ** 8
            weights /= (weights * most).sum()
        aim = aim - np.maximum(costs - most, 0)
    return None


def _best_offer(problem: Problem, places: Places, changes: dict[int, Real], left: Real) -> tuple[int, int] | None:
    found, highest = None, 0.0
    for i, change in sorted(changes.items()):
        ladder, place = problem.ladders[i], places[i]
        gain = ladder.values[place + 1 :] - ladder.values[place]
        rate = np.where(np.all(change <= left[:, None], axis=0), gain / np.maximum(change.max(axis=0), _FREE), 0.0)
        if len(rate) and rate.max() > highest:
            found, highest = (i, place + 1 + int(rate.argmax())), float(rate.max())
    return found


def filled(problem: Problem, places: Places) -> Places:
    """What is left is spent: again and again on the most value for its true cost that still fits."""
    most = np.array([limit.most for limit in problem.limits])
    places, changes = list(places), dict[int, Real]()
    stale = set(range(len(places)))
    while True:
        for i in stale:
            last = len(problem.ladders[i].counts) - 1
            changes[i] = problem.change(i, places, places[i] + 1, last) / most[:, None]
        offer = _best_offer(problem, places, changes, 1 - problem.costs(places) / most)
        if offer is None:
            return places
        i, place = offer
        trial = [*places[:i], place, *places[i + 1 :]]
        if not problem.fits(trial):  # by the rounding of sums alone
            return places
        places, stale = trial, problem.beside[i]


def spend(problem: Problem, solve: Solve, steps: int) -> Places | None:
    """The best choice found within all limits; none where even the lowest places exceed one.

    For one limit whose cost is a sum over groups, this is what ``solve`` gives. Otherwise each round takes costs near
    the present choice as the sum of what each group alone would change, solves that, and goes there if it is better and
    fits by the true costs; if not, the next round stays nearer.

    Args:
        problem: the ladders and limits.
        solve: gives the best choice where costs are sums.
        steps: of its capacity.

    Returns:
        One place per ladder.
    """
    top = best_places(problem)
    if problem.fits(top):
        return top
    places = uniform_places(problem, top)
    if places is None:
        return None
    reach = 1.0
    for _ in range(_ROUNDS):
        found = _step(problem, solve, steps, places, reach)
        if found is not None and problem.value(found) > problem.value(places):
            places = found
        else:
            reach /= 3
    return filled(problem, places)
