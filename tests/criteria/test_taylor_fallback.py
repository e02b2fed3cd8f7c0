"""HALP's score: on the norms of a channel where it has any, on its filters where it has none."""

from __future__ import annotations

import pytest
import torch

from niwaki.core import GroupError, Signals
from niwaki.criteria import Taylor
from niwaki.methods.budgeted import norm_taylor

from .channels import channel_group

SHAPE = (2, 1)
VALUES = {
    "a": torch.tensor([[5.0], [7.0]]),
    "gamma": torch.tensor([2.0, 3.0]),
    "beta": torch.tensor([1.0, -1.0]),
    "gamma2": torch.tensor([4.0, 1.0]),
    "bias": torch.tensor([1.0, 1.0]),
}
GRADIENTS = {
    "a": torch.tensor([[1.0], [-2.0]]),
    "gamma": torch.tensor([0.5, -1.0]),
    "beta": torch.tensor([3.0, 2.0]),
    "gamma2": torch.tensor([-2.0, 4.0]),
    "bias": torch.tensor([0.5, 20.0]),
}
SIGNALS = Signals({"weight": VALUES, "grad": GRADIENTS})


def test_coupled_norms_are_summed_before_the_absolute_value():
    group = channel_group(
        "c", 2,
        ("a", SHAPE, 0, 1, "out"), ("gamma", (2,), 0, 1, "scale"), ("beta", (2,), 0, 1, "shift"),
        ("gamma2", (2,), 0, 1, "scale"),
    )  # fmt: skip
    # Channel 0: 2*0.5 + 1*3 + 4*(-2) = -4; channel 1: 3*(-1) + (-1)*2 + 1*4 = -1. The filter does not count.
    assert norm_taylor()(group, SIGNALS).tolist() == [4.0, 1.0]


def test_without_a_norm_the_filter_and_its_bias_count():
    group = channel_group("c", 2, ("a", SHAPE, 0, 1, "out"), ("bias", (2,), 0, 1, "bias"), ("gamma", (2,), 0, 1, "in"))
    # Channel 0: 5*1 + 1*0.5 = 5.5; channel 1: 7*(-2) + 1*20 = 6. What reads the channel does not count.
    assert norm_taylor()(group, SIGNALS).tolist() == [5.5, 6.0]
    with pytest.raises(GroupError, match="no slice with the role 'scale' or 'shift'"):
        Taylor(roles=("scale", "shift"))(group, SIGNALS)


def test_where_no_named_role_is_played_everything_counts():
    # States of S4D are read and have no weight of their own that makes them.
    group = channel_group("c", 2, ("a", SHAPE, 0, 1, "in"))
    assert norm_taylor()(group, SIGNALS).tolist() == [5.0, 14.0]
