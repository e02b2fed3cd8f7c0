"""Budgets of cost become limits, or say why not."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from niwaki.allocate import Bytes, Latency, Macs, Parameters
from niwaki.allocate.cost import limits_of
from niwaki.core import BudgetError
from niwaki.core.costs import Limit, NetworkCost
from tests.allocate.priced import chain_cost, groups_for

BUDGETS = {Latency: "s", Macs: "MACs", Parameters: "parameters", Bytes: "bytes"}
every_budget = pytest.mark.parametrize(("budget", "unit"), BUDGETS.items(), ids=lambda x: getattr(x, "__name__", None))


class Prices:
    """3 x 4 and 4 x 5 at two each: 64 in all."""

    def __init__(self, unit):
        self.unit = unit

    def cost(self, groups):
        assert {group.name: group.size for group in groups} == {"g0": 4}
        return chain_cost([3, 4, 5], [2.0, 2.0], self.unit)


GROUPS = groups_for(chain_cost([3, 4, 5], [2.0, 2.0]))


@every_budget
def test_a_share_and_a_number(budget, unit):
    (share,) = budget(0.25, Prices(unit)).limits(GROUPS)
    assert (share.most, share.cost.dense) == (16, 64)
    (number,) = budget(40, Prices(unit), absolute=True).limits(GROUPS)
    assert number.most == 40
    (half,) = budget(0.5, Prices(unit), absolute=True).limits(GROUPS)
    assert half.most == 0.5


@every_budget
@pytest.mark.parametrize("most", [0, -0.5, math.nan, math.inf, True, "0.5", None])
def test_no_number_above_zero(budget, unit, most):
    with pytest.raises(BudgetError, match=rf"{budget.__name__}\(.*the most that may stay is a number above 0"):
        budget(most, Prices(unit))


@every_budget
def test_above_one_is_no_share(budget, unit):
    with pytest.raises(BudgetError, match=rf"{budget.__name__}\(1.5\): .* no share .*absolute=True"):
        budget(1.5, Prices(unit))
    assert budget(1, Prices(unit)).limits(GROUPS)[0].most == 64


@every_budget
def test_prices_that_are_none(budget, unit):
    with pytest.raises(BudgetError, match="dict makes no costs for groups; give a latency table or counted prices"):
        budget(0.5, {})
    all_three = SimpleNamespace(macs=Prices("MACs"), parameters=Prices("parameters"), bytes=Prices("bytes"))
    with pytest.raises(BudgetError, match="one of its parts, .macs or .parameters or .bytes"):
        budget(0.5, all_three)


def test_prices_of_something_else():
    with pytest.raises(BudgetError, match="Latency limits seconds, but these prices count MACs"):
        Latency(0.5, Prices("MACs")).limits(GROUPS)
    with pytest.raises(BudgetError, match="Parameters limits parameters, but these prices count seconds"):
        Parameters(0.5, Prices("s")).limits(GROUPS)
    assert Latency(0.5, Prices("")).limits(GROUPS)[0].most == 32  # who does not say is believed


def test_a_dense_model_that_costs_nothing():
    free = SimpleNamespace(cost=lambda groups: NetworkCost((), {"g0": 4}, 0.0, "s"))
    with pytest.raises(BudgetError, match="Latency: the dense model costs 0.0; a share of that means nothing"):
        Latency(0.5, free).limits(GROUPS)


def test_several_become_several():
    one = Limit(chain_cost([3, 4, 5], [1.0, 1.0]), 3.0)
    found = limits_of(GROUPS, [Latency(0.5, Prices("s")), one, Macs(0.25, Prices("MACs"))])
    assert [limit.most for limit in found] == [32, 3, 16]
    assert [limit.most for limit in limits_of(GROUPS, one)] == [3]
