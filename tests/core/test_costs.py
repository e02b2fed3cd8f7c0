"""Costs against numbers counted by hand."""

import numpy as np
import pytest
import torch

from niwaki.core.costs import Axis, Layer, NetworkCost, axes_of
from niwaki.core.errors import BudgetError
from niwaki.core.group import Group, Slice


def _product(*lengths: np.ndarray) -> np.ndarray:
    out = np.ones_like(lengths[0])
    for length in lengths:
        out = out * length
    return out


def _chain() -> NetworkCost:
    # Three matrices, 3 -> 4 -> 6 -> 2: units of `b` carry two positions each.
    first = Layer("first", (Axis(3), Axis(4, {"a": 1})), _product)
    second = Layer("second", (Axis(4, {"a": 1}), Axis(6, {"b": 2})), _product)
    third = Layer("third", (Axis(6, {"b": 2}), Axis(2)), _product)
    return NetworkCost((first, second, third), {"a": 4, "b": 3}, fixed=5.0, unit="MACs")


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, 5 + 12 + 24 + 12),
        ({"a": 2}, 5 + 6 + 12 + 12),
        ({"b": 1}, 5 + 12 + 8 + 4),
        ({"a": 1, "b": 2}, 5 + 3 + 4 + 8),
        ({"a": 0}, 5 + 0 + 0 + 12),
    ],
)
def test_a_cost_is_the_sum_over_layers(counts: dict[str, int], expected: float) -> None:
    assert _chain()(counts) == expected
    assert sum(_chain().per_layer(counts).values()) + 5 == expected


@pytest.mark.parametrize("others", [{}, {"a": 1}, {"a": 3, "b": 1}])
@pytest.mark.parametrize("name", ["a", "b"])
def test_along_one_group_equals_asking_for_every_count(name: str, others: dict[str, int]) -> None:
    cost = _chain()
    ladder = cost.along(name, others)
    assert ladder.tolist() == [cost({**others, name: k}) for k in range(cost.sizes[name] + 1)]


def test_one_group_on_both_axes_of_a_layer() -> None:
    cost = NetworkCost((Layer("l", (Axis(4, {"a": 1}), Axis(4, {"a": 1})), _product),), {"a": 4})
    assert cost.along("a", {}).tolist() == [0, 1, 4, 9, 16]


def test_nothing_left_costs_nothing_even_where_the_price_says_so() -> None:
    cost = NetworkCost((Layer("l", (Axis(2, {"a": 1}),), lambda n: n + 7.0),), {"a": 2})
    assert cost.along("a", {}).tolist() == [0, 8, 9]


@pytest.mark.parametrize("counts", [{"z": 1}, {"a": 5}, {"a": -1}])
def test_counts_that_the_groups_do_not_have_are_refused(counts: dict[str, int]) -> None:
    with pytest.raises(BudgetError, match="make the cost from the same groups"):
        _chain()(counts)


def test_axes_of_a_tensor_add_up_the_slices_along_each_dimension() -> None:
    rows = Slice("w", (8, 4, 3, 3), dim=0, index=torch.tensor([[0, 1], [2, 3]]))
    more = Slice("w", (8, 4, 3, 3), dim=0, index=torch.tensor([[4], [5]]))
    columns = Slice("w", (8, 4, 3, 3), dim=1, index=torch.tensor([[0], [1], [2], [3]]))
    single = Slice("w", (8, 4, 3, 3))
    groups = [Group("a", 2, (rows, more)), Group("b", 4, (columns,)), Group("c", 288, (single,))]
    assert axes_of(groups, "w", (8, 4, 3, 3)) == (Axis(8, {"a": 3}), Axis(4, {"b": 1}), Axis(3), Axis(3))
