"""``niwaki prune --units weights``, blocks and patterns: zeros in one shot, as a user calls it."""

import json

import pytest
import torch
from torch import nn
from torch.nn.utils import prune
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app.cli import app
from niwaki.app.models import load_model
from niwaki.app.one_shot import cut
from niwaki.app.request import Request
from niwaki.app.saved import open_model

CNN = "zoo:cnn"
PLAIN = ("--input", "1x8x8")


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def pruned(*arguments):
    done = niwaki("prune", *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def layers_of(model):
    return [(m, "weight") for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def dense():
    torch.manual_seed(0)
    return load_model(CNN)


def test_the_smallest_weights_of_the_network_go_as_in_torch(tmp_path):
    result = pruned(CNN, *PLAIN, "--units", "weights", "--density", 0.25, "--save", tmp_path / "sparse")
    model = dense()
    prune.global_unstructured(layers_of(model), prune.L1Unstructured, amount=0.75)
    for layer, name in layers_of(model):
        prune.remove(layer, name)
    found = open_model(str(tmp_path / "sparse"))
    assert all(torch.equal(p, found.get_parameter(name)) for name, p in model.named_parameters())
    counted = sum(int((layer.weight != 0).sum()) for layer, _ in layers_of(model))
    assert result["units"] == [sum(layer.weight.numel() for layer, _ in layers_of(model)), counted]
    whole = sum(p.numel() for p in model.parameters())
    assert result["zeros"] == result["units"][0] - counted
    assert result["parameters"] == [whole, whole - result["zeros"]]
    assert result["verified"]["same"]
    assert result["macs"][0] == result["macs"][1]  # nothing is skipped by itself
    held = [*model.parameters(), *model.buffers()]
    assert result["file"] == {
        "bytes": (tmp_path / "sparse" / "model.safetensors").stat().st_size,
        "dense_bytes": sum(tensor.numel() * tensor.element_size() for tensor in held),
    }
    assert result["file"]["bytes"] < 0.45 * result["file"]["dense_bytes"]


def test_uniform_takes_the_same_share_of_every_layer_and_rows_of_every_filter(tmp_path):
    result = pruned(CNN, *PLAIN, "--units", "weights", "--density", 0.25, "--allocate", "uniform")
    assert [group["kept"] * 4 for group in result["groups"]] == [group["units"] for group in result["groups"]]
    pruned(CNN, *PLAIN, "--units", "weights", "--density", 0.25, "--allocate", "rows", "--save", tmp_path / "rows")
    left = (open_model(str(tmp_path / "rows")).conv2.weight != 0).flatten(1).sum(1)
    assert set(left.tolist()) == {36}  # of the 144 weights of every filter
    by_shape = pruned(CNN, *PLAIN, "--units", "weights", "--density", 0.25, "--allocate", "erk")
    groups = nw.weights(dense())
    shares = nw.ErdosRenyiKernel().densities(groups, 0.25)
    for group in by_shape["groups"]:
        assert group["kept"] / group["units"] == pytest.approx(shares[group["name"]], abs=1 / group["units"])


def test_patterns_have_their_own_density(tmp_path):
    result = pruned(CNN, *PLAIN, "--units", "1:4", "--save", tmp_path / "sparse")
    assert result["request"]["density"] == 0.25
    weight = open_model(str(tmp_path / "sparse")).conv2.weight  # outputs, inputs, kernel
    runs = weight.permute(0, 2, 3, 1).reshape(-1, 4)
    assert set((runs != 0).sum(1).tolist()) == {1}
    before = dense().conv2.weight.permute(0, 2, 3, 1).reshape(-1, 4)
    assert torch.equal(runs.abs().amax(1), before.abs().amax(1))
    assert "its 1 inputs are not a multiple of 4" in result["untouched"]["conv1.weight"]


def test_zeros_stay_zeros_while_it_is_tuned_and_blocks_are_whole(tmp_path):
    pytest.importorskip("sklearn")
    result = pruned(
        CNN, "--data", "digits", "--units", "4x3", "--density", 0.3, "--finetune", 20, "--save", tmp_path / "sparse",
        "--threads", 1,
    )  # fmt: skip
    assert set(result["steps"]) == {"cut", "norms", "finetuned"}
    assert result["steps"]["finetuned"]["loss"] < result["steps"]["norms"]["loss"]
    assert result["request"]["criterion"] == "magnitude"  # though there are data
    found = open_model(str(tmp_path / "sparse"))
    assert sum(int(p.count_nonzero()) for p in found.parameters()) <= result["parameters"][1]
    tiles = found.conv2.weight.reshape(8, 4, 48, 3)
    assert set((tiles != 0).sum((1, 3)).flatten().tolist()) == {0, 12}
    assert not torch.equal(found.conv2.weight, dense().conv2.weight * (found.conv2.weight != 0))  # it did learn


def test_the_page_shows_shares_and_says_what_zeros_save(tmp_path):
    result = pruned(CNN, *PLAIN, "--units", "weights", "--save", tmp_path / "sparse")
    page = (tmp_path / "sparse" / "report.html").read_text()
    assert "The share of each group" in page
    assert f"{result['zeros']:,} numbers are zero" in page
    assert "The masked model and the one with zeros" in page
    assert ">File<" in page
    assert ">MACs<" not in page
    words = niwaki("prune", CNN, *PLAIN, "--units", "weights").stdout
    assert "they save time only where they are skipped" in words
    assert "MACs" not in words


def test_what_is_sparse_can_be_pruned_further_and_cut(tmp_path):
    pruned(CNN, *PLAIN, "--units", "weights", "--density", 0.5, "--save", tmp_path / "half")
    pruned(tmp_path / "half", *PLAIN, "--units", "weights", "--density", 0.1, "--save", tmp_path / "tenth")
    half, tenth = (open_model(str(tmp_path / name)) for name in ("half", "tenth"))
    for (one, _), (other, _) in zip(layers_of(half), layers_of(tenth), strict=True):
        assert bool(((one.weight != 0) >= (other.weight != 0)).all())
    assert pruned(tmp_path / "half", *PLAIN, "--units", "channels")["verified"]["same"]


def test_a_program_gets_zeros_and_stays_a_program(tmp_path):
    pruned(CNN, *PLAIN, "--graph", "--save", tmp_path / "program")
    for units in ("weights", "2:4", "3x3"):
        out = tmp_path / units.replace(":", "")
        result = pruned(tmp_path / "program", *PLAIN, "--units", units, "--density", 0.5, "--save", out)
        found = open_model(str(out))
        zeros = sum(int((p == 0).sum()) for p in found.parameters() if p.dim() > 1)
        assert zeros == result["zeros"] > 0
        assert found(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_the_same_seed_puts_the_same_zeros():
    pytest.importorskip("sklearn")
    asked = Request(CNN, "digits", units="weights", batches=2, density=0.2, threads=1)
    first, second = (cut(asked).small for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--units", "weights", "--macs", 0.5], "a budget of cost is for what makes tensors smaller"),
        (["--units", "2:4", "--latency", 0.5], "and --units 2:4 does not: give --units channels"),
        (["--units", "weights", "--share-of", "parameters"], "leave --share-of out"),
        (["--units", "2:4", "--density", 0.3], "the N:M groups keep"),
        (["--units", "weights", "--allocate", "luck"], "the allocator 'luck' is unknown"),
        (["--units", "weights", "--density", 1e-9], "density"),
        (["--units", "5:4"], "5 of 4 is no pattern"),
    ],
)
def test_what_it_refuses(arguments, words):
    done = niwaki("prune", CNN, *PLAIN, *arguments)
    assert done.exit_code == 1
    assert words in done.stderr
