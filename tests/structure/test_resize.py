"""Attributes follow the tensors: a layer that was cut looks like one that was made with the small sizes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from niwaki.core import GroupError, Size
from niwaki.structure import shrink
from tests.structure.declared import group, kept


def spans(size, *starts, width=1):
    """Unit u owns ``width`` positions from ``start + u * width`` on, for every start."""
    return torch.stack(
        [torch.cat([torch.arange(s + u * width, s + (u + 1) * width) for s in starts]) for u in range(size)]
    )


GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def hidden_of(layers, kind, hidden, *, both=False):
    """Every place of the hidden units of a recurrent network."""
    rows = spans(hidden, *(g * hidden for g in range(GATES[kind])))
    places = []
    for layer in range(layers):
        for way in ("", "_reverse") if both else ("",):
            end = f"_l{layer}{way}"
            places += [(f"weight_ih{end}", 0, rows), (f"weight_hh{end}", 0, rows), (f"weight_hh{end}", 1)]
            places += [(f"bias_ih{end}", 0, rows), (f"bias_hh{end}", 0, rows)]
            if layer:
                places.append((f"weight_ih{end}", 1, spans(hidden, 0, hidden) if both else spans(hidden, 0)))
    return places


NORM = [("weight", 0), ("bias", 0)]
STATS = [("running_mean", 0), ("running_var", 0)]
HEADS = spans(4, 0, 8, 16, width=2)

# The layer, its units, where they lie, the buffers, the units that stay, and the layer made small from the start.
LAYERS = {
    "linear out": (nn.Linear(3, 6), 6, NORM, [], (0, 4), nn.Linear(3, 2)),
    "linear in": (nn.Linear(6, 3), 6, [("weight", 1)], [], (1, 5), nn.Linear(2, 3)),
    "linear without bias": (nn.Linear(3, 6, bias=False), 6, [("weight", 0)], [], (0,), nn.Linear(3, 1, bias=False)),
    "conv1d": (nn.Conv1d(3, 6, 3), 6, NORM, [], (0, 4), nn.Conv1d(3, 2, 3)),
    "conv2d in": (nn.Conv2d(6, 3, (3, 1)), 6, [("weight", 1)], [], (0, 4, 5), nn.Conv2d(3, 3, (3, 1))),
    "conv3d": (nn.Conv3d(2, 6, 1), 6, NORM, [], (2, 3), nn.Conv3d(2, 2, 1)),
    "depthwise": (nn.Conv2d(6, 6, 3, groups=6), 6, NORM, [], (1, 2, 5), nn.Conv2d(3, 3, 3, groups=3)),
    "depthwise of two": (
        nn.Conv2d(3, 6, 3, groups=3), 3, [("weight", 0, spans(3, 0, width=2)), ("bias", 0, spans(3, 0, width=2))], [],
        (0, 2), nn.Conv2d(2, 4, 3, groups=2),
    ),
    "grouped, whole groups": (
        nn.Conv2d(8, 12, 3, groups=4), 4, [("weight", 0, spans(4, 0, width=3)), ("bias", 0, spans(4, 0, width=3))], [],
        (0, 3), nn.Conv2d(4, 6, 3, groups=2),
    ),
    "grouped, one of each group": (
        nn.Conv2d(8, 12, 3, groups=4), 3, [("weight", 0, spans(3, 0, 3, 6, 9)), ("bias", 0, spans(3, 0, 3, 6, 9))], [],
        (0, 2), nn.Conv2d(8, 8, 3, groups=4),
    ),
    "grouped, inputs": (nn.Conv2d(8, 12, 3, groups=4), 2, [("weight", 1)], [], (1,), nn.Conv2d(4, 12, 3, groups=4)),
    "transposed out": (
        nn.ConvTranspose2d(3, 6, 2), 6, [("weight", 1), ("bias", 0)], [], (0, 4), nn.ConvTranspose2d(3, 2, 2)
    ),
    "transposed in": (nn.ConvTranspose1d(6, 3, 2), 6, [("weight", 0)], [], (0, 4), nn.ConvTranspose1d(2, 3, 2)),
    "transposed depthwise": (
        nn.ConvTranspose2d(6, 6, 2, groups=6), 6, NORM, [], (0, 1, 4), nn.ConvTranspose2d(3, 3, 2, groups=3)
    ),
    "batch norm": (nn.BatchNorm2d(6), 6, NORM, STATS, (0, 4), nn.BatchNorm2d(2)),
    "sync batch norm": (nn.SyncBatchNorm(6), 6, NORM, STATS, (0, 4), nn.SyncBatchNorm(2)),
    "instance norm": (nn.InstanceNorm1d(6, affine=True), 6, NORM, [], (0,), nn.InstanceNorm1d(1, affine=True)),
    "group norm, whole groups": (
        nn.GroupNorm(3, 6), 3, [("weight", 0, spans(3, 0, width=2)), ("bias", 0, spans(3, 0, width=2))], [], (0, 2),
        nn.GroupNorm(2, 4),
    ),
    "group norm, one of each": (
        nn.GroupNorm(2, 6), 3, [("weight", 0, spans(3, 0, 3)), ("bias", 0, spans(3, 0, 3))], [], (0, 2),
        nn.GroupNorm(2, 4),
    ),
    "layer norm": (nn.LayerNorm(6), 6, NORM, [], (0, 4), nn.LayerNorm(2)),
    "layer norm of images": (nn.LayerNorm((6, 5)), 6, NORM, [], (0, 4), nn.LayerNorm((2, 5))),
    "rms norm": (nn.RMSNorm(6), 6, [("weight", 0)], [], (0, 4), nn.RMSNorm(2)),
    "embedding width": (nn.Embedding(9, 6), 6, [("weight", 1)], [], (0, 4), nn.Embedding(9, 2)),
    "embedding rows": (
        nn.Embedding(9, 6, padding_idx=4), 9, [("weight", 0)], [], (1, 4, 5), nn.Embedding(3, 6, padding_idx=1)
    ),
    "embedding bag": (nn.EmbeddingBag(9, 6), 6, [("weight", 1)], [], (0, 4), nn.EmbeddingBag(9, 2)),
    "prelu": (nn.PReLU(6), 6, [("weight", 0)], [], (0, 4), nn.PReLU(2)),
    "bilinear": (nn.Bilinear(3, 6, 4), 6, [("weight", 2)], [], (0, 4), nn.Bilinear(3, 2, 4)),
    "bilinear out": (nn.Bilinear(3, 2, 6), 6, NORM, [], (0, 4), nn.Bilinear(3, 2, 2)),
    "lstm": (nn.LSTM(3, 6), 6, hidden_of(1, "LSTM", 6), [], (0, 4), nn.LSTM(3, 2)),
    "lstm of two layers": (nn.LSTM(3, 6, 2), 6, hidden_of(2, "LSTM", 6), [], (0, 4, 5), nn.LSTM(3, 3, 2)),
    "gru both ways": (
        nn.GRU(3, 4, 2, bidirectional=True), 4, hidden_of(2, "GRU", 4, both=True), [], (1, 2),
        nn.GRU(3, 2, 2, bidirectional=True),
    ),
    "rnn inputs": (nn.RNN(6, 3), 6, [("weight_ih_l0", 1)], [], (0, 4), nn.RNN(2, 3)),
    "lstm projection": (
        nn.LSTM(3, 6, proj_size=4), 4, [("weight_hr_l0", 0), ("weight_hh_l0", 1)], [], (0, 1, 3),
        nn.LSTM(3, 6, proj_size=3),
    ),
    "lstm cell": (
        nn.LSTMCell(3, 4), 4,
        [(name, 0, spans(4, 0, 4, 8, 12)) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        + [("weight_hh", 1)], [], (0, 3), nn.LSTMCell(3, 2),
    ),
    "gru cell inputs": (nn.GRUCell(6, 4), 6, [("weight_ih", 1)], [], (0, 3), nn.GRUCell(2, 4)),
    "attention width and heads": (
        nn.MultiheadAttention(8, 4), 4,
        [("in_proj_weight", 0, HEADS), ("in_proj_bias", 0, HEADS), ("in_proj_weight", 1, spans(4, 0, width=2)),
         ("out_proj.weight", 0, spans(4, 0, width=2)), ("out_proj.weight", 1, spans(4, 0, width=2)),
         ("out_proj.bias", 0, spans(4, 0, width=2))],
        [], (0, 3), nn.MultiheadAttention(4, 2),
    ),
    "attention keys": (
        nn.MultiheadAttention(8, 4, kdim=6, vdim=5), 6, [("k_proj_weight", 1)], [], (0, 3),
        nn.MultiheadAttention(8, 4, kdim=2, vdim=5),
    ),
}  # fmt: skip


def numbers(module):
    """Every whole number, size and text that a layer holds."""
    return {
        f"{name}.{key}": value
        for name, part in module.named_modules()
        for key, value in vars(part).items()
        if isinstance(value, int | str | tuple | type(None)) and not key.startswith("_backward")
    }


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS.keys())
@pytest.mark.parametrize("inplace", [False, True])
def test_a_cut_layer_is_a_small_layer(case, inplace):
    layer, size, places, buffers, units, oracle = case
    layer = copy.deepcopy(layer)
    small = shrink(
        layer, [group(layer, "u", size, places, buffers=buffers)], {"u": kept(size, *units)}, inplace=inplace
    )
    assert numbers(small) == numbers(oracle)
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (small, oracle)]
    assert shapes[0] == shapes[1]
    small.load_state_dict(oracle.state_dict())


def test_numbers_of_layers_without_tensors_are_declared():
    model = nn.Sequential(
        nn.Conv1d(2, 6, 1), nn.GroupNorm(3, 6, affine=False), nn.LayerNorm(6, elementwise_affine=False)
    )
    pairs = spans(3, 0, width=2)
    sizes = [Size("1", "num_groups"), Size("1", "num_channels", 2), Size("2", "normalized_shape", 2)]
    g = group(model, "u", 3, [("0.weight", 0, pairs), ("0.bias", 0, pairs)], sizes=sizes)
    small = shrink(model, [g], {"u": kept(3, 0, 2)})
    assert numbers(small)["1.num_groups"] == 2 and numbers(small)["1.num_channels"] == 4
    assert numbers(small)["2.normalized_shape"] == (4,)
    assert numbers(model)["1.num_groups"] == 3 and numbers(model)["2.normalized_shape"] == (6,)


def test_several_groups_may_lower_one_number():
    class Wide(nn.Linear):
        width = 6

    model = Wide(2, 6)
    parts = [torch.arange(3)[:, None], torch.arange(3, 6)[:, None]]
    groups = [
        group(model, name, 3, [("weight", 0, rows), ("bias", 0, rows)], sizes=[Size("", "width")])
        for name, rows in zip("ab", parts, strict=True)
    ]
    assert shrink(model, groups, {"a": kept(3, 0), "b": kept(3, 1, 2)}).width == 3
    assert model.width == 6


def test_a_declared_number_decides_where_shapes_leave_it_open():
    # Two outputs per input: kept positions 0 1 | 4 5 look like whole groups, and are.
    model = nn.Conv2d(3, 6, 1, groups=3)
    pairs = spans(3, 0, width=2)
    places = [("weight", 0, pairs), ("bias", 0, pairs)]
    g = group(model, "u", 3, places, sizes=[Size("", "groups")])
    assert shrink(model, [g], {"u": kept(3, 0, 2)}).groups == 2
    wrong = group(model, "u", 3, places, sizes=[Size("", "out_channels", 1)])
    with pytest.raises(GroupError, match="its tensors ask for out_channels=4, the groups' sizes for 5"):
        shrink(model, [wrong], {"u": kept(3, 0, 2)})


@pytest.mark.parametrize(
    ("layer", "size", "places", "buffers", "message"),
    [
        (nn.Linear(3, 6), 6, [("weight", 0)], [], r"does not fit together .*: 'bias' would have shape \(6,\)"),
        (nn.BatchNorm1d(6), 6, NORM, STATS[:1], r"'running_var' would have shape \(6,\), the layer needs \(2,\)"),
        (nn.Conv2d(6, 6, 1, groups=2), 6, NORM, [], r"groups=2, and of these parts \[1, 2\] positions of 'weight'"),
        (nn.GroupNorm(2, 6), 6, NORM, [], r"num_groups=2, and of these parts \[1, 2\] positions"),
        (nn.LSTM(3, 6), 24, [("weight_ih_l0", 0), ("weight_hh_l0", 0)], [], "does not fit together"),
        (nn.LSTM(6, 6, 2), 6, [("weight_ih_l0", 1), ("weight_hh_l0", 1)], [], "does not fit together"),
        (nn.Embedding(6, 3, padding_idx=0), 6, [("weight", 0)], [], "would lose row 0, its padding_idx"),
        (nn.MultiheadAttention(6, 2), 6, [("out_proj.weight", 1)], [], r"'in_proj_weight' would have shape"),
    ],
)  # fmt: skip
def test_a_layer_that_would_not_fit_together(layer, size, places, buffers, message):
    g = group(layer, "u", size, places, buffers=buffers)
    units = (1, 4, 5) if "parts" in message else (1, 4)
    before = numbers(layer)
    for inplace in (False, True):
        with pytest.raises(GroupError, match=message):
            shrink(layer, [g], {"u": kept(size, *units)}, inplace=inplace)
    assert numbers(layer) == before


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([Size("nowhere", "width")], "the model has no 'nowhere'"),
        ([Size("", "nothing")], "'nothing' is None, not a whole number"),
        ([Size("", "bias")], "'bias' is Parameter"),
        ([Size("", "in_features", 2)], "'in_features' is 3 and would fall by 8"),
    ],
)
def test_a_number_that_cannot_fall(sizes, message):
    layer = nn.Linear(3, 6)
    with pytest.raises(GroupError, match=message):
        shrink(layer, [group(layer, "u", 6, NORM, sizes=sizes)], {"u": kept(6, 1, 4)})
