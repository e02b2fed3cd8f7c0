"""From a way to solve separable problems to a choice where costs depend on each other."""

from __future__ import annotations

import numpy as np

from .coupled import Places, Problem
from .ladders import Real
from .multiple_choice import Solve
from .starts import best_places, cheapest_places, priced_places, uniform_places

_ROUNDS = 10
_TRIES = 4
_LITTLE = 1e-4  # a gain after which there is little to come
_FREE = 1e-12  # what costs less costs nothing
_SMALL = 512  # places to choose from, up to which two starts take no time


def _near(problem: Problem, places: Places, reach: float) -> list[tuple[int, int]]:
    ends = []
    for ladder, place in zip(problem.ladders, places, strict=True):
        last = len(ladder.counts) - 1
        far = max(1, int(np.ceil(reach * last)))
        ends.append((max(0, place - far), min(last, place + far)))
    return ends


def _step(problem: Problem, solve: Solve, steps: int, places: Places, reach: float) -> Places | None:
    """The best choice near another one, if costs near it were the sums of what each group alone would change."""
    most = problem.most
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
        if problem.fits(found):
            return found
        if several:
            weights = weights * (costs / most) ** 8
            weights /= (weights * most).sum()
        aim = aim - np.maximum(costs - most, _FREE * most)
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
    most = problem.most
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


def improved(problem: Problem, solve: Solve, steps: int, places: Places) -> Places:
    """Rounds of solving near the present choice, that one kept wherever the next is no better."""
    reach = 1.0
    for _ in range(_ROUNDS):
        found = _step(problem, solve, steps, places, reach)
        before = problem.value(places)
        gain = -1.0 if found is None else problem.value(found) - before
        if found is not None and gain > 0:
            places = found
        if gain <= _LITTLE * abs(before):
            reach /= 3
    return places


def _starts(problem: Problem, low: Places, top: Places) -> list[Places]:
    priced = priced_places(problem, top)
    if priced is not None and sum(len(g.counts) for g in problem.ladders) > _SMALL:
        return [priced]
    uniform = uniform_places(problem, low, top)
    return [uniform] if priced is None else [priced, uniform]


def spend(problem: Problem, solve: Solve, steps: int) -> Places:
    """The best choice found within all limits; the cheapest one where even that exceeds them.

    For one limit whose cost is a sum over groups, this is what ``solve`` gives. Otherwise each round takes costs near
    the present choice as the sum of what each group alone would change, solves that, and goes there if it is better and
    fits by the true costs; if not, the next round stays nearer. What is then left is spent unit by unit.

    Args:
        problem: the ladders and limits.
        solve: gives the best choice where costs are sums.
        steps: of its capacity.

    Returns:
        One place per ladder.
    """
    top, low = best_places(problem), cheapest_places(problem)
    if problem.fits(top):
        return top
    if not problem.fits(low):
        return low
    if problem.is_separable and len(problem.limits) == 1:
        return filled(problem, _step(problem, solve, steps, low, 1.0) or low)
    ends = [filled(problem, improved(problem, solve, steps, start)) for start in _starts(problem, low, top)]
    return max(ends, key=problem.value)
