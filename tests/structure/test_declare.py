"""Groups declared by hand: which tensors, which units, which reasons."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import GroupError, Pattern, gather, spread, tensor_masks
from niwaki.structure.declare import blocks, n_of_m, weights


class Tied(nn.Module):
    """An embedding whose weight is also the output layer's."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.body = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight
        self.scale = nn.Parameter(torch.ones(()))
        self.position = nn.Parameter(torch.ones(3, 4))


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))


def names(groups):
    return [group.name for group in groups]


# -- which tensors -------------------------------------------------------------------------------------------------


def test_every_layer_weight_is_a_group_of_single_weights():
    groups = weights(network())
    assert [(g.name, g.size, g.kind) for g in groups] == [("0.weight", 108, "weight"), ("4.weight", 80, "weight")]
    assert all(len(g.slices) == 1 and g.slices[0].tensor == g.name and g.min_keep == 1 for g in groups)
    assert groups.size == 188


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 2),
        nn.Conv1d(4, 2, 3),
        nn.Conv3d(4, 2, 1),
        nn.ConvTranspose2d(4, 2, 3),
        nn.LSTM(4, 2),
        nn.GRUCell(4, 2),
        nn.Bilinear(4, 3, 2),
        nn.MultiheadAttention(4, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_every_layer_with_a_matrix_is_found(layer):
    matrices = [name for name, parameter in layer.named_parameters() if parameter.dim() > 1]
    assert names(weights(layer)) == matrices


def test_units_are_numbered_in_the_order_of_the_tensor():
    model = nn.Linear(3, 2)
    (group,) = weights(model)
    assert gather(group.slices[0], model.weight.detach()).flatten().tolist() == model.weight.flatten().tolist()


def test_a_shared_tensor_is_counted_once():
    model = Tied()
    groups = weights(model, also=["embed.weight"])
    assert names(groups) == ["embed.weight", "body.weight"]
    assert groups.size == 7 * 4 + 4 * 4


def test_every_tensor_left_out_has_its_reason():
    left = weights(network(), ignore=["4"]).left_out
    vector = "a vector (bias, norm); name it in also= to prune it"
    assert left == {
        "0.bias": vector,
        "1.weight": vector,
        "1.bias": vector,
        "4.weight": "ignored, as you asked",
        "4.bias": "ignored, as you asked",
    }


def test_reasons_for_what_no_layer_owns():
    left = weights(Tied()).left_out
    assert left["embed.weight"].startswith("belongs to Embedding, not to a linear, convolution or recurrent layer")
    assert left["position"].startswith("belongs to Tied, not to a linear")
    assert left["position"].endswith("name it in also=")
    assert "scale" in left


def test_reasons_for_tensors_that_cannot_be_pruned():
    model = nn.Sequential(nn.Linear(4, 2), nn.Linear(2, 2))
    model[0].register_parameter("codes", nn.Parameter(torch.ones(2, 2, dtype=torch.int32), requires_grad=False))
    model[0].register_parameter("nothing", nn.Parameter(torch.ones(0, 2)))
    left = weights(model).left_out
    assert left["0.codes"] == "not a floating-point tensor (torch.int32)"
    assert left["0.nothing"] == "holds no elements"


@pytest.mark.parametrize("entry", ["0", "0.weight", "0.*", "[0]*", lambda model: model[0]])
def test_layers_are_ignored_by_name_pattern_or_module(entry):
    model = network()
    groups = weights(model, ignore=[entry(model) if callable(entry) else entry])
    assert names(groups) == ["4.weight"]
    assert groups.left_out["0.weight"] == "ignored, as you asked"


def test_a_name_ignores_the_whole_module_and_nothing_that_begins_like_it():
    model = nn.ModuleDict({"layer1": nn.Sequential(nn.Linear(2, 2)), "layer10": nn.Linear(2, 2)})
    assert names(weights(model, ignore=["layer1"])) == ["layer10.weight"]


def test_also_adds_tensors_that_no_layer_owns():
    groups = weights(Tied(), also=["position", "body.bias"], ignore=["body.weight"])
    assert names(groups) == ["position", "body.bias"]
    assert [g.size for g in groups] == [12, 4]


def test_ignore_is_stronger_than_also():
    groups = weights(network(), also=["0.bias"], ignore=["0"])
    assert names(groups) == ["4.weight"]


def test_a_compiled_model_has_the_groups_of_the_model_itself():
    model = network()
    compiled = weights(cast(nn.Module, torch.compile(model)), ignore=["4"])
    assert names(compiled) == names(weights(model, ignore=["4"])) == ["0.weight"]
    assert compiled.left_out == weights(model, ignore=["4"]).left_out


# -- blocks --------------------------------------------------------------------------------------------------------


def test_blocks_lie_in_the_matrix_of_outputs_and_the_rest():
    model = nn.Conv2d(2, 3, (1, 2), bias=False)  # a matrix of 3 x 4
    (group,) = blocks(model, (2, 3))
    # rows 0-1 | row 2, columns 0-2 | column 3
    assert group.size == 4
    assert group.kind == "block"
    keep = torch.tensor([True, False, False, True])
    mask = tensor_masks([group], {group.name: keep})["weight"]
    assert mask.reshape(3, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (-1, 2)])
def test_a_block_without_size_is_refused(shape):
    with pytest.raises(GroupError, match=r"a number of rows and one of columns, such as \(4, 4\), not \("):
        blocks(network(), shape)


def test_a_layer_smaller_than_a_block_is_left_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 8))
    groups = blocks(model, (4, 4))
    assert names(groups) == ["1.weight"]
    assert groups.left_out["0.weight"] == "a matrix of 2 x 2 is smaller than one 4 x 4 block"


# -- N:M -----------------------------------------------------------------------------------------------------------


def test_two_of_four_run_along_the_input_channels_of_a_convolution():
    model = nn.Conv2d(4, 2, (1, 2), bias=False)
    (group,) = n_of_m(model, 2, 4)
    assert group.pattern == Pattern(2, 4)
    assert group.kind == "2:4"
    # Unit by unit in the order the pattern reads them: output o, kernel position k, input channel i; four in a row
    # share o and k. In memory the weight is [o, i, 1, k], element (o, i, 0, k) at 8 o + 2 i + k.
    by_hand = [8 * o + 2 * i + k for o in range(2) for k in range(2) for i in range(4)]
    flat = torch.arange(16).reshape(2, 4, 1, 2)
    assert gather(group.slices[0], flat).flatten().tolist() == by_hand
    # Keeping the first two of each four keeps input channels 0 and 1, everywhere.
    keep = torch.tensor([True, True, False, False]).repeat(4)
    mask = tensor_masks([group], {group.name: keep})["weight"]
    assert mask[:, :2].all()
    assert not mask[:, 2:].any()


def test_two_of_four_run_along_the_inputs_of_a_linear_layer():
    model = nn.Linear(8, 3)
    (group,) = n_of_m(model, 2, 4)
    tiles = gather(group.slices[0], torch.arange(24).reshape(3, 8)).reshape(-1, 4)
    assert tiles.tolist() == np.arange(24).reshape(6, 4).tolist()
    assert group.size == 24


def test_a_layer_whose_inputs_do_not_divide_is_left_out():
    groups = n_of_m(network(), 2, 4)
    assert names(groups) == ["4.weight"]
    assert groups.left_out["0.weight"] == "its 3 inputs are not a multiple of 4"


@pytest.mark.parametrize(("n", "m"), [(0, 4), (4, 4), (5, 4), (-1, 2)])
def test_a_pattern_that_is_none_is_refused(n, m):
    with pytest.raises(GroupError, match=f"{n} of {m} is no pattern; it needs 0 < n < m"):
        n_of_m(network(), n, m)


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["ignore", "also"])
def test_a_name_that_matches_nothing_is_an_error(argument):
    with pytest.raises(GroupError, match=r"no parameter of the model matches 'layer7'; known: 0\.weight, 0\.bias"):
        weights(network(), **{argument: ["layer7"]})


def test_a_module_of_another_model_is_an_error():
    with pytest.raises(GroupError, match="ignore= holds a Linear that is not a module of this model"):
        weights(network(), ignore=[nn.Linear(2, 2)])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.ReLU(), r"nothing in ReLU can be pruned this way \(it has no parameters\)"),
        (nn.BatchNorm1d(3), r"nothing in BatchNorm1d can be pruned this way \(weight: a vector \(bias, norm\)"),
    ],
)
def test_a_model_with_nothing_to_prune_is_an_error(model, says):
    with pytest.raises(GroupError, match=says):
        weights(model)


def test_transposed_convolutions_are_seen_from_their_outputs_too():
    # Their weight is [inputs, outputs, kernel]: patterns run along its first axis, blocks have outputs as rows.
    model = nn.ConvTranspose2d(4, 2, 3, bias=False)
    weight = torch.arange(4 * 2 * 9).reshape(4, 2, 3, 3)
    (group,) = n_of_m(model, 2, 4)
    units = gather(group.slices[0], weight).reshape(-1, 4)
    assert units[0].tolist() == [0, 18, 36, 54]  # output 0, kernel position 0, inputs 0 to 3
    assert torch.equal(spread(group.slices[0], gather(group.slices[0], weight)[:, 0]), weight)
    (block,) = blocks(model, (2, 9))
    first = gather(block.slices[0], weight)[0]
    assert first.tolist() == [*range(9), *range(9, 18)]  # input 0 of outputs 0 and 1


def test_a_lone_number_has_no_pattern_and_no_row():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.tensor(2.0))
            self.layer = nn.Linear(4, 2)

    assert n_of_m(Scaled(), 2, 4, also="gain").left_out["gain"] == "its 1 inputs are not a multiple of 4"
    assert [group.size for group in weights(Scaled(), also="gain")] == [1, 8]


def test_one_name_stands_for_a_list_of_one():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    assert [group.name for group in weights(model, ignore="0")] == ["1.weight"]
    assert [group.name for group in weights(model, ignore=model[1])] == ["0.weight"]
