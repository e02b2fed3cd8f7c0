"""What people see when they print groups."""

from __future__ import annotations

from torch import nn

from niwaki.core.described import described
from niwaki.structure.declare import weights


def test_printed_groups_name_groups_units_and_reasons():
    text = str(weights(nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 2)), ignore=["2.weight"]))
    assert text.splitlines() == [
        "1 group, 1,200 units",
        "  0.weight  1,200  weight",
        "3 tensors left out",
        "  a vector (bias, norm); name it in also= to prune it: 0.bias, 2.bias",
        "  ignored, as you asked: 2.weight",
    ]


def test_long_lists_are_cut_and_say_by_how_much():
    rows = [(f"layer{i}.weight", 10**i, "weight") for i in range(30)]
    left = {f"layer{i}.bias": "a vector" for i in range(1005)} | {f"x{i}": f"reason {i}" for i in range(40)}
    lines = described(rows, left).splitlines()
    assert len({len(line) for line in lines[1:25]}) == 1  # in columns
    assert lines[25] == "  and 6 more"
    assert lines[26:28] == [
        "1,045 tensors left out",
        "  a vector: layer0.bias, layer1.bias, layer2.bias and 1,002 more",
    ]
    assert lines[-1] == "  and for 17 more reasons, see left_out"
    assert len(lines) == 1 + 24 + 1 + 1 + 24 + 1
