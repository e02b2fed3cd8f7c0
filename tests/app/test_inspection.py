"""What a model is made of, and what would stay."""

import io

import pytest
from rich.console import Console

from niwaki.app.inspection import inspect_model, show
from niwaki.core import AddressError, BudgetError


def test_layers_of_a_perceptron():
    found = inspect_model("zoo:mlp?widths=8,6,4", density=0.25, allocator="uniform")
    # 48 and 24 weights, 6 and 4 biases.
    assert (found["parameters"], found["prunable"], found["macs"]) == (82, 72, 72)
    assert [(row["name"], row["shape"], row["macs"]) for row in found["layers"]] == [
        ("layers.0.weight", [6, 8], 48),
        ("layers.1.weight", [4, 6], 24),
    ]
    assert [row["share"] for row in found["layers"]] == [48 / 82, 24 / 82]
    assert [(row["kept"], row["density"]) for row in found["layers"]] == [(12, 0.25), (6, 0.25)]
    assert found["density"] == 0.25
    assert list(found["left_out"]) == ["layers.0.bias", "layers.1.bias"]


def test_resnet20_has_its_published_cost_and_densities():
    found = inspect_model("zoo:resnet20", density=0.05)
    assert (found["parameters"], found["prunable"], found["macs"]) == (269_722, 268_336, 40_551_040)
    density = {row["name"]: row["density"] for row in found["layers"]}
    # Published check values for Erdos-Renyi-Kernel at density 0.05.
    for name, expected in [("conv1", 0.5174), ("layer1.0.conv1", 0.1475), ("layer3.1.conv2", 0.0325), ("linear", 1.0)]:
        assert density[f"{name}.weight"] == pytest.approx(expected, abs=2e-3)


def test_the_input_size_decides_the_cost():
    small, large = (inspect_model("zoo:cnn", size=size)["macs"] for size in ("1x8x8", "1x16x16"))
    assert large - 320 == 4 * (small - 320)  # the linear layer, 32 x 10, sees one vector either way


def test_without_a_density_nothing_is_said_about_it():
    found = inspect_model("zoo:mlp")
    assert found["density"] is None and "kept" not in found["layers"][0]


def test_blocks_are_units():
    found = inspect_model("zoo:mlp?widths=8,8", density=0.5, units="4x4")
    assert (found["layers"][0]["units"], found["layers"][0]["kept"]) == (4, 2)


def text_of(found):
    console = Console(file=io.StringIO(), width=160)
    show(found, console)
    return console.file.getvalue()


def test_the_table_says_it_in_words():
    text = text_of(inspect_model("zoo:resnet20", density=0.05))
    for part in ("269,722 parameters", "40,551,040 MACs", "layer3.2.conv2.weight", "64 x 64 x 3 x 3", "density 5.00%"):
        assert part in text
    assert "left out: bn1.weight, bn1.bias, layer1.0.bn1.weight and 36 more: a vector" in text
    assert "not zero" not in text


def test_unknown_cost_is_said(own_modules):
    (own_modules / "net_without_size.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(3, 2)\n")
    found = inspect_model("python:net_without_size:net")
    assert found["macs"] is None
    assert "MACs are unknown without an input; give its size: --input 3x32x32" in text_of(found)
    assert inspect_model("python:net_without_size:net", size="3")["macs"] == 6


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"size": "3,32"}, AddressError, "the input size '3,32' needs the form 3x32x32"),
        ({"size": "0x3"}, AddressError, "the input size '0x3' needs the form"),
        ({"density": 2.0}, BudgetError, "outside"),
        ({"density": 0.1, "allocator": "ek"}, AddressError, "the allocator 'ek' is unknown; did you mean 'erk'"),
    ],
)
def test_wrong_questions_are_explained(options, error, message):
    with pytest.raises(error, match=message):
        inspect_model("zoo:mlp", **options)
