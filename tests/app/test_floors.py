"""Floors on the command line, what is said of bottlenecks, and what a budget stands for if nothing else is said."""

import json

import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app.bottlenecks import bottlenecks
from niwaki.app.cli import app
from niwaki.app.models import load_model
from niwaki.app.one_shot import cut
from niwaki.app.prune_command import latency_words
from niwaki.app.request import Request
from niwaki.app.run import train
from niwaki.app.settings import Settings
from niwaki.core import BudgetError, Group

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("clock")
CNN = "zoo:cnn"
SHORT = {"model": CNN, "data": "digits", "steps": 30, "batch": 32, "threads": 1}


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _macs(model):
    return nw.count_flops(model, (torch.zeros(1, 1, 8, 8),)).total / 2


def test_prune_holds_the_floor():
    """Global ranking at a low density leaves some layers with less than a third; the floor does not."""
    given = {"size": "1x8x8", "criterion": "random", "macs": 0.2, "threads": 1}
    bare, floored = (cut(Request(CNN, min_share=share, **given)) for share in (0.0, 0.3))
    assert min(group["kept"] / group["units"] for group in bare.result["groups"]) < 0.3
    assert min(group["kept"] / group["units"] for group in floored.result["groups"]) >= 0.3
    assert _macs(floored.small) <= 0.2 * _macs(floored.dense)


def test_prune_by_density_holds_it_too():
    done = niwaki("prune", CNN, "--input", "1x8x8", "--density", 0.4, "--min-share", 0.35, "--threads", 1, "--json")
    assert done.exit_code == 0, done.output
    groups = json.loads(done.stdout)["groups"]
    assert min(group["kept"] / group["units"] for group in groups) >= 0.35
    assert sum(group["kept"] for group in groups) == round(0.4 * sum(group["units"] for group in groups))


@pytest.mark.parametrize(
    "method",
    [
        {"method": "iee", "switches": {"H": 3, "J": 2, "Q": 2}},
        {"method": "halp", "switches": {"every": 4, "events": 5}},
        {"method": "smcp", "switches": {"every": 4}},
        {"method": "static"},
    ],
    ids=lambda given: given["method"],
)
def test_training_holds_it(tmp_path, method):
    result = train(Settings(**SHORT, units="channels", macs=0.25, min_share=0.3, **method), tmp_path / "run")
    assert min(group["kept"] / group["units"] for group in result["groups"]) >= 0.3
    assert result["budget"][0]["reached"] <= 0.25 * result["budget"][0]["dense"]
    assert result["notes"] == []
    small = nw.load(load_model(CNN, classes=10, channels=1), tmp_path / "run" / "small")
    # What is said to be kept is what the folder holds.
    assert result["weights_kept"] == sum(parameter.numel() for parameter in small.parameters())
    assert result["weights_total"] == sum(p.numel() for p in load_model(CNN, classes=10, channels=1).parameters())


def test_a_floor_above_the_budget_and_one_that_is_no_share():
    given = {"size": "1x8x8", "criterion": "magnitude", "threads": 1}
    with pytest.raises(BudgetError, match="the budget cannot be met: .* min_keep"):
        cut(Request(CNN, macs=0.2, min_share=0.9, **given))
    done = niwaki("prune", CNN, "--input", "1x8x8", "--macs", 0.5, "--min-share", 1.5)
    assert done.exit_code == 1
    assert "at least 1.5 of each group cannot stay; give a share from 0 to 1" in done.stderr


def test_bottlenecks_are_named_with_the_remedy():
    def keep(count, size):
        return torch.arange(size) < count

    groups = [Group("a", 16, (), "channel"), Group("b", 7, (), "channel"), Group("c", 8, (), "head")]
    rows = {"a": keep(1, 16), "b": keep(1, 7), "c": keep(2, 8)}
    assert bottlenecks(groups, rows) == [
        "a keeps 1 of 16 channels: all that the network learns there must pass through one; --min-share 0.25 keeps a "
        "quarter of every layer"
    ]
    (words,) = bottlenecks(groups, rows | {"c": keep(1, 8)})
    assert words.startswith("a keeps 1 of 16 channels and c keeps 1 of 8 heads: ")
    assert bottlenecks(groups, rows | {"a": keep(2, 16)}) == []


def test_prune_says_it():
    asked = ["prune", CNN, "--input", "1x8x8", "--parameters", 0.02, "--threads", 1]
    done = niwaki(*asked)
    assert done.exit_code == 0, done.output
    assert "note        conv" in done.stdout
    assert "--min-share 0.25 keeps a quarter of every layer" in done.stdout
    assert "untouched   1 tensor, such as" in done.stdout


@pytest.mark.parametrize(
    ("high", "calm", "end"),
    [
        (0.9, False, "eager"),
        (1.1, True, "eager: no gain here"),
        (1.1, False, "restless, so time it again with niwaki bench"),
    ],
)
def test_no_gain_and_no_certain_gain(high, calm, end):
    small = {"measured": 0.01, "ratio": 0.5, "low": 0.3, "high": high, "predicted": None}
    found = {"dense": {"measured": 0.02}, "small": small, "asked": None, "backend": "eager", "calm": calm}
    assert latency_words(found).endswith(end)


def test_a_budget_stands_for_channels_and_static_for_one_width(tmp_path):
    asked = ["train", "--model", CNN, "--data", "digits", "--steps", 5, "--batch", 32, "--threads", 1]
    done = niwaki(*asked, "--macs", 0.5, "--method", "static", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    shares = [group["kept"] / group["units"] for group in result["groups"]]
    assert max(shares) - min(shares) < 0.07  # one share of 16 and 32 channels, rounded down
    (total, kept), (whole, left) = result["units"], result["small"]["parameters"]
    words = f"({kept:,} of {total:,} units, {left:,} of {whole:,} parameters)"
    assert words in done.stdout
    assert json.loads((tmp_path / "run" / "config.json").read_text())["units"] == "channels"
    picked = niwaki(*asked, "--macs", 0.5, "--method", "static", "--set", "allocator=knapsack", "--out", tmp_path / "k")
    assert picked.exit_code == 0, picked.output
    assert json.loads((tmp_path / "k" / "result.json").read_text())["groups"] != result["groups"]
