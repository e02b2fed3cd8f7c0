"""Wanda on channels, heads and weights."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import SignalError, Signals
from niwaki.criteria import (
    Magnitude,
    Wanda,
)
from niwaki.signals import score
from niwaki.structure.declare import weights
from tests.criteria.channels import channel_group, conv_net


def test_wanda_is_a_loop_over_rows_and_columns():
    model, groups, batches = conv_net()
    found = score(Wanda(), model, groups, batches)
    summed = score(Wanda("sum"), model, groups, batches)
    with torch.no_grad():
        x = torch.cat([inputs for inputs, _ in batches])
        middle = torch.relu(model.norm_one(model.one(x))).double().numpy()
        last = torch.relu(model.norm_two(model.two(torch.tensor(middle).float()))).flatten(1).double().numpy()
    kernel, head = (w.detach().double().numpy() for w in (model.two.weight, model.head.weight))
    for c in range(5):
        norm = np.sqrt((middle[:, c] ** 2).sum())
        rows = [np.abs(kernel[o, c]).sum() * norm for o in range(4)]
        assert found["one"][c].item() == pytest.approx(np.mean(rows), rel=1e-4)
        assert summed["one"][c].item() == pytest.approx(np.sum(rows), rel=1e-4)
    for c in range(4):
        columns = range(4 * c, 4 * c + 4)
        expected = sum(np.mean(np.abs(head[:, j])) * np.sqrt((last[:, j] ** 2).sum()) for j in columns)
        assert found["two"][c].item() == pytest.approx(expected, rel=1e-4)


def test_wanda_finds_the_rows_where_inputs_come_first():
    # Weight [inputs, outputs], as in GPT-2 and transposed convolutions: three outputs to a column.
    group = channel_group("c", 2, ("w", (2, 3), 0, 1, "in"))
    values = {"weight": {"w": torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 9.0]])}}
    norms = {"input_norm": {"w": torch.tensor([[2.0] * 3, [1.0] * 3])}}
    assert Wanda()(group, Signals({**values, **norms})).tolist() == [4.0, 3.0]


def test_wanda_with_equal_inputs_ranks_as_the_magnitude_does():
    model = nn.Linear(6, 4)
    batches = [(torch.ones(3, 6), None)]
    (group,) = weights(model)
    found = score(Wanda(), model, [group], batches)[group.name]
    torch.testing.assert_close(found, score(Magnitude(), model, [group])[group.name] * 3**0.5)


def test_wanda_says_which_tensor_no_data_entered():
    model, groups, batches = conv_net()
    group = channel_group("norm", 5, ("norm_one.weight", (5,), 0, 1, "in"))
    with pytest.raises(
        SignalError, match="no input was seen .* tensor 'norm_one.weight' of group 'norm'.*leave the gr"
    ):
        score(Wanda(), model, [group], batches)
