"""One share for all groups, against trying every count by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from niwaki.allocate.uniform_width import uniform_width
from niwaki.core.costs import Axis, Layer, Limit, NetworkCost
from niwaki.core.errors import BudgetError
from niwaki.core.group import Group


def cost(sizes: dict[str, int], steps: int = 1) -> NetworkCost:
    names = list(sizes)
    layers = [
        Layer(
            f"{a}{b}",
            (Axis(sizes[a], {a: 1}), Axis(sizes[b], {b: 1})),
            lambda x, y: np.ceil(x / steps) * np.ceil(y / steps),
        )
        for a, b in zip(names, names[1:], strict=False)
    ]
    return NetworkCost(tuple(layers), sizes, fixed=3.0, unit="s")


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.77, 1.0])
def test_it_is_the_largest_share_that_fits(steps: int, share: float) -> None:
    sizes = {"a": 6, "b": 16, "c": 9}
    price = cost(sizes, steps)
    most = share * price.dense
    groups = [Group(name, size, ()) for name, size in sizes.items()]
    scores = {name: torch.rand(size) for name, size in sizes.items()}
    keep = uniform_width(groups, scores, Limit(price, most))
    counts = {name: int(row.sum()) for name, row in keep.items()}
    # The oracle: a fine grid of shares from 1 down (12 * 144 holds every k / 6, k / 16 and k / 9 as a whole number).
    fine = 1728
    best = next(
        tried
        for k in range(fine, -1, -1)
        if price(tried := {name: max(1, k * size // fine) for name, size in sizes.items()}) <= most
    )
    assert counts == best
    for name, row in keep.items():
        assert counts[name] == sizes[name] or scores[name][row].min() >= scores[name][~row].max()


def test_multiples_and_least_counts_hold() -> None:
    groups = [Group("a", 12, (), multiple_of=4), Group("b", 12, (), min_keep=5)]
    scores = {"a": torch.arange(12.0), "b": torch.arange(12.0)}
    price = cost({"a": 12, "b": 12})
    keep = uniform_width(groups, scores, Limit(price, 60.0))
    # 57 units of cost are left beside the fixed 3: 7/12 gives 4 x 7 = 28, 8/12 gives 8 x 8 = 64.
    assert {name: int(row.sum()) for name, row in keep.items()} == {"a": 4, "b": 7}
    with pytest.raises(BudgetError, match="keep at least 23 of 147"):  # 3 + 4 x 5
        uniform_width(groups, scores, Limit(price, 20.0))
