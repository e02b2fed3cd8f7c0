"""Scores on one scale."""

import pytest
import torch

from niwaki.core import Group, Signals, Slice
from niwaki.criteria import (
    Magnitude,
    Normalised,
)


def test_normalised_by_hand():
    # Scores 1, 2, 5: mean 8 / 3, largest 5, sum 8, Euclidean root 30, deviation root of ((25 + 4 + 49) / 9 / 3).
    group = Group("w", 3, (Slice("w", (3,)),))
    signals = Signals({"weight": {"w": torch.tensor([1.0, -2.0, 5.0])}})
    by_hand = {
        "mean": [3 / 8, 6 / 8, 15 / 8],
        "max": [0.2, 0.4, 1.0],
        "sum": [1 / 8, 2 / 8, 5 / 8],
        "l2": [1 / 30**0.5, 2 / 30**0.5, 5 / 30**0.5],
        "zscore": [x / (78 / 27) ** 0.5 for x in (-5 / 3, -2 / 3, 7 / 3)],
        "members": [1.0, 2.0, 5.0],
    }
    for by, expected in by_hand.items():
        assert Normalised(Magnitude(), by)(group, signals).tolist() == pytest.approx(expected, rel=1e-6)


def test_signed_scores_keep_their_order():
    class Signed:
        needs = frozenset({"weight"})

        def __call__(self, group, signals):
            return signals.of("weight", "w")

    group = Group("w", 3, (Slice("w", (3,)),))
    signals = Signals({"weight": {"w": torch.tensor([-4.0, -1.0, 1.0])}})
    for by in ("mean", "max", "sum", "l2", "zscore"):
        found = Normalised(Signed(), by)(group, signals)
        assert found[0] < found[1] < found[2]


@pytest.mark.parametrize("by", ["mean", "max", "sum", "l2", "zscore"])
@pytest.mark.parametrize("value", [0.0, 0.1])
def test_groups_without_spread_have_scores(by, value):
    group = Group("w", 7, (Slice("w", (7,)),))
    found = Normalised(Magnitude(), by)(group, Signals({"weight": {"w": torch.full((7,), value)}}))
    expected = {"mean": 1.0, "max": 1.0, "sum": 1 / 7, "l2": 7**-0.5, "zscore": 0.0}[by] * (value > 0)
    assert found.tolist() == pytest.approx([expected] * 7)
