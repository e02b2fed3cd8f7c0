"""Signals by kind and name."""

from __future__ import annotations

import pytest
import torch

from niwaki.core import SignalError, Signals

WEIGHT, GRAD, OTHER = torch.tensor([1.0]), torch.tensor([2.0]), torch.tensor([3.0])


def test_a_signal_is_found_by_kind_and_tensor():
    signals = Signals({"weight": {"a": WEIGHT}, "grad": {"a": GRAD}})
    assert signals.of("weight", "a") is WEIGHT
    assert signals.of("grad", "a") is GRAD


@pytest.mark.parametrize(
    ("have", "says"),
    [
        ({}, "the signal 'grad' was not collected for tensor 'a' .collected: none."),
        ({"weight": {"a": WEIGHT}, "flow": {"a": GRAD}}, "not collected for tensor 'a' .collected: flow, weight."),
        ({"grad": {"b": GRAD}}, "not collected for tensor 'a' .collected: grad."),
    ],
)
def test_a_signal_that_nobody_collected_is_named_with_the_remedy(have, says):
    with pytest.raises(SignalError, match=says) as caught:
        Signals(have).of("grad", "a")
    assert 'nw.collect(..., needs={"grad"})' in str(caught.value)
    assert "probe=nw.probe(batches, loss)" in str(caught.value)


def test_of_two_the_other_wins_tensor_by_tensor():
    first = Signals({"weight": {"a": WEIGHT, "b": WEIGHT}, "grad": {"a": GRAD}})
    both = first.merged(Signals({"weight": {"a": OTHER}, "flow": {"c": OTHER}}))
    assert both.of("weight", "a") is OTHER
    assert both.of("weight", "b") is WEIGHT
    assert both.of("grad", "a") is GRAD
    assert both.of("flow", "c") is OTHER
    assert first.of("weight", "a") is WEIGHT
