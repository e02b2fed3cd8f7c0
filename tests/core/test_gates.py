"""Gates and the masks they make."""

from __future__ import annotations

import pytest
import torch

from niwaki.core import Gates, Group, GroupError, Slice, dense_gates, kept_gates, tensor_masks
from niwaki.core.gates import is_binary_pair

ROWS = Group("rows", 2, (Slice("w", (2, 3), 0, torch.tensor([[0], [1]])),), kind="channel")
COLUMNS = Group("columns", 3, (Slice("w", (2, 3), 1, torch.tensor([[0], [1], [2]])),), kind="channel")


def test_dense_gates_are_open():
    gates = dense_gates([ROWS, COLUMNS])
    assert gates.keys() == {"rows", "columns"}
    assert gates["rows"].forward.tolist() == gates["rows"].train.tolist() == [True, True]
    assert gates["columns"].forward.dtype == torch.bool


def test_kept_units_act_and_learn_and_the_others_do_neither():
    gates = kept_gates(torch.tensor([True, False]))
    assert gates.forward.tolist() == [True, False]
    assert gates.train.tolist() == [True, False]


def test_a_mask_is_the_product_of_all_slices_that_cover_its_tensor():
    units = {"rows": torch.tensor([True, False]), "columns": torch.tensor([True, False, True])}
    masks = tensor_masks([ROWS, COLUMNS], units)
    # row 0 stays, row 1 goes; of what stays, column 1 goes
    assert masks["w"].tolist() == [[True, False, True], [False, False, False]]
    assert masks["w"].dtype == torch.bool


def test_one_group_lies_in_several_tensors():
    # A channel: a row of the layer that makes it, its bias, and two columns of the layer that reads it.
    first = Slice("first", (2, 2), 0, torch.tensor([[0], [1]]))
    bias = Slice("bias", (2,), 0, torch.tensor([[0], [1]]))
    second = Slice("second", (1, 4), 1, torch.tensor([[0, 1], [2, 3]]))
    masks = tensor_masks([Group("c", 2, (first, bias, second))], {"c": torch.tensor([False, True])})
    assert masks["first"].tolist() == [[False, False], [True, True]]
    assert masks["bias"].tolist() == [False, True]
    assert masks["second"].tolist() == [[False, False, True, True]]


def test_one_group_lies_twice_in_one_tensor():
    both = (Slice("w", (2, 2), 0, torch.tensor([[0], [1]])), Slice("w", (2, 2), 1, torch.tensor([[0], [1]])))
    masks = tensor_masks([Group("c", 2, both)], {"c": torch.tensor([True, False])})
    assert masks["w"].tolist() == [[True, False], [False, False]]


def test_a_group_without_gates_is_an_error():
    with pytest.raises(GroupError, match="no gates were given for group 'columns'"):
        tensor_masks([ROWS, COLUMNS], {"rows": torch.ones(2, dtype=torch.bool)})


@pytest.mark.parametrize(
    ("forward", "train", "is_binary"),
    [
        ([True, True, False], [True, False, False], True),  # active, frozen, removed
        ([False], [True], False),  # straight-through
    ],
)
def test_gates_without_anything_in_between(forward, train, is_binary):
    assert is_binary_pair(Gates(torch.tensor(forward), torch.tensor(train))) is is_binary


def test_fading_gates_are_something_in_between():
    assert not is_binary_pair(Gates(torch.tensor([0.5]), torch.tensor([True])))
