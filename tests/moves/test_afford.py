"""Moves under limits of cost, against choices made by hand and by trying everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import pytest
import torch
from torch import Tensor

from niwaki.core import BudgetError, Context, Group, kept_gates
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
from niwaki.criteria import Magnitude
from niwaki.moves import Fit, Refill, Rewire, Shed, play
from tests.moves.test_moves import bits, context, group

SCORE = Magnitude()
SCORES = {"a": torch.tensor([4.0, 1, 3]), "b": torch.tensor([5.0, 6, 2, 9])}


def product_cost() -> NetworkCost:
    # One layer from `a` to `b`: its cost is the product of the widths. Dense: 12.
    layer = Layer("l", (Axis(3, {"a": 1}), Axis(4, {"b": 1})), lambda a, b: a * b)
    return NetworkCost((layer,), {"a": 3, "b": 4}, unit="MACs")


def every(
    groups: Sequence[Group],
    scores: Mapping[str, Tensor],
    *,
    limits: Sequence[Limit],
    among: Mapping[str, Tensor] | None = None,
    base: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The most valuable of all subsets with at least one unit each: 7 * 15 of them for the two groups here."""
    best, found = -1.0, None
    rows = [list(product([False, True], repeat=g.size)) for g in groups]
    for choice in product(*rows):
        keep = {g.name: torch.tensor(row) for g, row in zip(groups, choice, strict=True)}
        if not all(bool(row.any()) for row in keep.values()):
            continue
        if among and any(bool((keep[n] & ~among[n]).any()) for n in keep):
            continue
        if base and any(bool((base[n] & ~keep[n]).any()) for n in keep):
            continue
        if any(one.cost({n: int(row.sum()) for n, row in keep.items()}) > one.most for one in limits):
            continue
        value = sum(float(scores[n][row].sum()) for n, row in keep.items())
        if value > best:
            best, found = value, keep
    assert found is not None
    return found


def around(home: dict[str, str]) -> Context:
    groups = [group("a", 3), group("b", 4)]
    return context(groups, SCORES, {name: bits(text) for name, text in home.items()})


def played(move: object, home: dict[str, str]) -> dict[str, str]:
    here = around(home)
    _, after = play([move], {n: kept_gates(k) for n, k in here.home.items()}, here)  # type: ignore[list-item]
    return {name: "".join(str(int(bit)) for bit in keep) for name, keep in after.items()}


def test_fit_takes_the_best_that_fits_and_nothing_that_was_removed():
    # At most 6 of 12. From everything: 2 x 3 keeps a's 4, 3 and b's 5, 6, 9: 27; 1 x 4 keeps 4 and all of b: 26.
    limits = (Limit(product_cost(), 6.0),)
    assert played(Fit(SCORE, every, limits), {"a": "111", "b": "1111"}) == {"a": "101", "b": "1101"}
    # b's best is gone and stays gone: 2 x 3 of the rest, 4 + 3 + 5 + 6 + 2 = 20.
    assert played(Fit(SCORE, every, limits), {"a": "111", "b": "1110"}) == {"a": "101", "b": "1110"}


def test_shed_goes_below_what_the_network_costs_now():
    # Now 2 x 3 = 6 under a limit of 8; a fifth less is 4.8: 2 x 2 keeps 4 + 3 + 6 + 9 = 22, 1 x 3 keeps 4 + 20 = 24.
    move = Shed(SCORE, every, (Limit(product_cost(), 8.0),), share=0.2, least=(1.0,))
    assert played(move, {"a": "101", "b": "1101"}) == {"a": "100", "b": "1101"}
    # From above the limit, the share is of the limit: 12 now, 8 * 0.75 = 6.
    move = Shed(SCORE, every, (Limit(product_cost(), 8.0),), share=0.25, least=(1.0,))
    assert played(move, {"a": "111", "b": "1111"}) == {"a": "101", "b": "1101"}
    # It cannot cost less than it must: 0.9 of the 4 now would be 0.4 without the floor.
    move = Shed(SCORE, every, (Limit(product_cost(), 8.0),), share=0.9, least=(2.0,))
    assert played(move, {"a": "100", "b": "1111"}) == {"a": "100", "b": "0101"}


def test_refill_adds_within_the_limit_and_lets_nothing_go():
    # a's weakest unit is kept, whatever its score. Up to 6: 1 x 4 gains b's 5 + 2 + 9 = 16, 3 x 2 gains 4 + 3 + 9 = 16,
    # 2 x 3 gains 4 + 5 + 9 = 18.
    limits = (Limit(product_cost(), 6.0),)
    assert played(Refill(SCORE, every, limits), {"a": "010", "b": "0100"}) == {"a": "110", "b": "1101"}


def test_rewiring_is_free_to_bring_units_back_and_they_go_on_learning():
    limits = (Limit(product_cost(), 6.0),)
    here = around({"a": "010", "b": "0010"})
    gates, home = play([Rewire(SCORE, every, limits)], {n: kept_gates(k) for n, k in here.home.items()}, here)
    assert home["a"].tolist() == bits("101").tolist()
    assert home["b"].tolist() == bits("1101").tolist()
    assert all(bool(gate.train.all()) for gate in gates.values())
    hard, _ = play([Rewire(SCORE, every, limits, soft=False)], gates, here)
    assert hard["a"].train.tolist() == hard["a"].forward.tolist() == bits("101").tolist()


@pytest.mark.parametrize(
    "move",
    [
        lambda limits, wrong: Fit(SCORE, wrong, limits),
        lambda limits, wrong: Refill(SCORE, wrong, limits),
        lambda limits, wrong: Rewire(SCORE, wrong, limits),
        lambda limits, wrong: Shed(SCORE, wrong, limits, 0.5, (1.0,)),
    ],
)
def test_a_choice_that_exceeds_its_limits_is_refused(move):
    def wrong(groups, scores, *, limits, among=None, base=None):
        return {"a": bits("111"), "b": bits("1111")}

    made = move((Limit(product_cost(), 6.0),), wrong)
    with pytest.raises(BudgetError, match=r"the chosen units cost 12 MACs, and (6|3) is the limit"):
        played(made, {"a": "111", "b": "1111"})
