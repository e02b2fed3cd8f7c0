"""Where the search for a choice begins: the dearest, the cheapest, the uniform one, and what prices leave."""

from __future__ import annotations

import numpy as np

from .coupled import Places, Problem
from .ladders import Real

_FIRST = 0.05  # price, of what the best places are worth for their cost
_RISES = 60  # of prices
_HALVINGS = 4  # of the last rise


def best_places(problem: Problem) -> Places:
    """What would be chosen if nothing cost anything; of equal values the most units."""
    return [len(g.values) - 1 - int(np.argmax(g.values[::-1])) for g in problem.ladders]


def cheapest_places(problem: Problem) -> Places:
    """The fewest units everywhere; where they exceed a limit, what costs least group by group, since tables may dip."""
    places = [0] * len(problem.ladders)
    for _ in range(3):
        if problem.fits(places):
            break
        for i, ladder in enumerate(problem.ladders):
            change = problem.change(i, places, 0, len(ladder.counts) - 1) / problem.most[:, None]
            places[i] = int(np.argmin(change.sum(axis=0)))
    return places


def uniform_places(problem: Problem, low: Places, high: Places) -> Places:
    """The same share of the way from low to high places in all ladders, as far as the limits let."""
    least, most, found = 0.0, 1.0, low
    for _ in range(12):
        share = (least + most) / 2
        places = [a + int(share * (b - a)) for a, b in zip(low, high, strict=True)]
        if problem.fits(places):
            least, found = share, places
        else:
            most = share
    return found


def _priced(problem: Problem, places: Places, prices: Real) -> Places:
    """Group by group, in turn, the count worth most after its cost at these prices, one per limit."""
    places = list(places)
    for i, ladder in enumerate(problem.ladders):
        change = problem.change(i, places, 0, len(ladder.counts) - 1)
        places[i] = int(np.argmax(ladder.values - prices @ change))
    return places


def priced_places(problem: Problem, top: Places) -> Places | None:
    """What rising prices of cost leave of the best places: Lagrange's multipliers, with the true cost of each group.

    Prices rise until what they leave fits, those of limits that are held stand still. The last rise is then halved for
    as long as it pays. Each price begins from the choice of the one before, which no single price finds by itself.

    Args:
        problem: the ladders and limits.
        top: places that exceed a limit.

    Returns:
        One place per ladder; none where prices do not help.
    """
    prices = _FIRST * abs(problem.value(top)) / np.maximum(problem.costs(top), problem.most)
    places = top
    if not prices.any():
        return None
    for i in range(_RISES):
        low, above = prices, places
        rise = 1.25 if i < _RISES // 2 else 2.0
        prices = prices * np.where(problem.costs(places) > problem.most, rise, 1.0)
        places = _priced(problem, places, prices)
        if problem.fits(places):
            break
    else:
        return None
    for _ in range(_HALVINGS):
        middle = np.sqrt(low * prices)
        trial = _priced(problem, _priced(problem, above, middle), middle)
        if not problem.fits(trial):
            low, above = middle, trial
            continue
        prices = middle
        if problem.value(trial) > problem.value(places):
            places = trial
    return places
