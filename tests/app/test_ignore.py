"""``--ignore``: what a user wants left whole stays whole, in every command that takes units."""

import json

import pytest
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app.cli import app
from niwaki.app.models import load_model
from niwaki.app.saved import open_model

CNN = "zoo:cnn"


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("units", ["weights", "2x2", "2:4"])
def test_zeros_come_only_where_they_may(units, tmp_path):
    done = niwaki("prune", CNN, "--units", units, "--input", "1x8x8", "--ignore", "conv2", "--ignore", "lin*",
                  "--density", 0.5, "--save", tmp_path / "small")  # fmt: skip
    assert done.exit_code == 0, done.output
    small = nw.load(load_model(CNN, classes=10, channels=1), tmp_path / "small")
    assert int((small.conv3.weight == 0).sum()) > 1000
    for layer in ("conv2", "linear"):
        assert bool((small.get_submodule(layer).weight != 0).all())


def test_channels_of_an_ignored_layer_stay(tmp_path):
    done = niwaki("prune", CNN, "--input", "1x8x8", "--ignore", "conv2", "--save", tmp_path / "small", "--json")
    assert done.exit_code == 0, done.output
    small = nw.load(load_model(CNN, classes=10, channels=1), tmp_path / "small")
    assert small.conv2.out_channels == 32 and small.conv1.out_channels + small.conv3.out_channels == 24
    assert json.loads(done.stdout)["request"]["ignore"] == ["conv2"]


def test_a_run_leaves_it_and_goes_on_with_it(tmp_path):
    pytest.importorskip("sklearn")
    run = ("train", "--out", tmp_path, "--model", CNN, "--data", "digits", "--method", "rigl", "--density", 0.1,
           "--steps", 60, "--set", "every=10", "--threads", 1)  # fmt: skip
    done = niwaki(*run, "--ignore", "linear", "--ignore", "conv1")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "config.json").read_text())["ignore"] == ["linear", "conv1"]
    model = open_model(str(tmp_path))
    zeros = {name: int((p == 0).sum()) for name, p in model.named_parameters() if p.dim() > 1}
    assert zeros["conv1.weight"] == zeros["linear.weight"] == 0
    assert zeros["conv2.weight"] + zeros["conv3.weight"] == round(0.9 * (32 * 16 * 9 + 32 * 32 * 9))
    again = niwaki(*run, "--resume", "--ignore", "linear")
    assert again.exit_code != 0 and "begun with ignore = ['linear', 'conv1']" in again.output.replace("\n", " ")


@pytest.mark.parametrize("units", ["weights", "channels"])
def test_inspect_shows_the_reason(units):
    done = niwaki("inspect", CNN, "--units", units, "--input", "1x8x8", "--ignore", "conv2", "--json")
    assert done.exit_code == 0, done.output
    assert "ignored, as you asked" in done.stdout
    assert "conv3" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("prune", CNN, "--input", "1x8x8", "--ignore", "conv9"), "no parameter of the model matches 'conv9'"),
        (("prune", "zoo:s4d?layers=1&width=6", "--units", "states", "--ignore", "x"), "--ignore names layers"),
    ],
)
def test_what_cannot_be_ignored_is_named(arguments, words):
    done = niwaki(*arguments)
    assert done.exit_code == 1
    assert words in " ".join(done.output.split())
