"""``niwaki prune`` and ``niwaki inspect`` of channels, heads and states, as a user calls them."""

import json

import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app.batches import Batches
from niwaki.app.cli import app
from niwaki.app.data import load_data
from niwaki.app.evaluation import evaluate
from niwaki.app.models import load_model
from niwaki.app.one_shot import cut
from niwaki.app.request import Request
from niwaki.app.saved import open_model
from niwaki.core import BudgetError, TrainError
from niwaki.store.parity import Parity

CNN = "zoo:cnn"


def niwaki(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def small_of(folder):
    return nw.load(load_model(CNN, classes=10, channels=1), folder)


def test_prune_saves_a_smaller_model_that_is_worth_what_it_says(tmp_path):
    pytest.importorskip("sklearn")
    done = niwaki(
        "prune", CNN, "--data", "digits", "--save", tmp_path / "small", "--finetune", 30, "--json", "--threads", 1
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    model, data = small_of(tmp_path / "small"), load_data("digits")
    dense = load_model(CNN, classes=10, channels=1)
    assert result["parameters"] == [sum(p.numel() for p in m.parameters()) for m in (dense, model)]
    assert result["units"] == [80, 40]
    assert sum(group["kept"] for group in result["groups"]) == 40
    assert evaluate(model, data, data.test)[0] == pytest.approx(result["steps"]["finetuned"]["accuracy"])
    assert result["verified"]["same"]
    assert set(result["steps"]) == {"cut", "norms", "finetuned"}
    # Thirty steps of training teach an untrained network something: the loss falls.
    assert result["steps"]["finetuned"]["loss"] < result["steps"]["norms"]["loss"]
    page = (tmp_path / "small" / "report.html").read_text()
    assert "What stays of each group" in page
    assert f"{result['groups'][0]['name']}" in page


def test_first_order_taylor_averages_squares_of_batches():
    # Over all images the mean gradient of a trained network is near zero, and what is left of it is chance.
    pytest.importorskip("sklearn")
    asked = Request(CNN, "digits", criterion="taylor", allocate="uniform", batches=6, batch=4, reestimate=0, threads=1)
    made = cut(asked)
    net, batches = made.dense, Batches(load_data("digits"), 4, 0)
    changes = []
    for step in range(6):
        x, y = batches.at(step)
        (slope,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x), y), net.conv2.weight)
        changes.append((slope * net.conv2.weight.detach()).sum((0, 2, 3)))
    each = torch.stack(changes)
    found, absolute, at_once = (
        worth.argsort(descending=True)[:8].sort().values
        for worth in (each.square().mean(0), each.abs().mean(0), each.mean(0).abs())
    )
    assert torch.equal(made.small.conv1.weight, net.conv1.weight[found])
    assert not torch.equal(found, absolute) and not torch.equal(found, at_once)


def test_the_same_seed_cuts_the_same():
    pytest.importorskip("sklearn")
    first, second = (cut(Request(CNN, "digits", batches=2, threads=1)) for _ in range(2))
    for a, b in zip(first.small.parameters(), second.small.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_data_weights_decide():
    done = niwaki("prune", CNN, "--input", "1x8x8", "--density", 0.25, "--allocate", "uniform", "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["request"]["criterion"] == "magnitude"
    assert result["units"] == [80, 20]
    assert {group["kept"] / group["units"] for group in result["groups"]} == {0.25}
    assert result["dense"] == {"accuracy": None, "loss": None}


def test_a_share_of_the_parameters_is_not_exceeded():
    made = cut(Request(CNN, size="1x8x8", criterion="magnitude", density=0.4, share_of="parameters", threads=1))
    before, after = made.result["parameters"]
    assert after <= 0.4 * before
    assert after > 0.3 * before  # and not far below it


def test_onnx_is_written_and_checked(tmp_path):
    pytest.importorskip("onnxscript", reason="writing ONNX needs the extra `export`")
    runtime = pytest.importorskip("onnxruntime", reason="checking ONNX needs the extra `export`")
    file = tmp_path / "small.onnx"
    done = niwaki("prune", CNN, "--input", "1x8x8", "--onnx", file, "--save", tmp_path / "small", "--json")
    assert done.exit_code == 0, done.output
    x = torch.randn(5, 1, 8, 8)
    session = runtime.InferenceSession(str(file))
    (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(out), small_of(tmp_path / "small").eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", ["zoo:s4d?layers=2&width=6", "zoo:s5?tokens=16&layers=1&width=6"])
def test_states_are_cut_and_compared_on_inputs_that_say_something(model, tmp_path, monkeypatch):
    shown = []

    def noted(small, path, example, **switches):
        shown.append((small, example))
        return Parity(path, "none", 0.0, 1.0, (1,))

    monkeypatch.setattr("niwaki.app.one_shot.export_onnx", noted)
    done = niwaki(
        "prune", model, "--units", "states", "--criterion", "last", "--density", 0.67, "--onnx", tmp_path / "net.onnx",
        "--save", tmp_path / "small", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["verified"]["same"]
    small, example = shown[0]
    assert len(example.unique()) > 10 and bool(small(example).abs().max() > 0.01)
    assert torch.equal(nw.load(load_model(model).eval(), tmp_path / "small")(example), small(example))


def test_in_words():
    done = niwaki("prune", CNN, "--input", "1x8x8")
    assert done.exit_code == 0, done.output
    assert "40 of 80 stay" in done.stdout
    assert "masked and shrunk model agree" in done.stdout
    assert "an output of the model" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["python:torch.nn:Flatten"], "give --data, or the size of an input"),
        ([CNN, "--input", "1x8x8", "--density", 0], "density"),
        ([CNN, "--input", "1x8x8", "--density", 1.5], "density"),
        ([CNN, "--input", "1x8x8", "--units", "atoms"], "the units 'atoms' are unknown"),
        ([CNN, "--input", "1x8x8", "--units", "heads"], "has no heads that can be cut"),
        ([CNN, "--input", "1x8x8", "--criterion", "guess"], "the criterion 'guess' is unknown"),
        ([CNN, "--input", "1x8x8", "--share-of", "luck"], "not of 'luck'"),
        ([CNN, "--input", "1x8x8", "--share-of", "parameters", "--allocate", "uniform"], "take --allocate global"),
        ([CNN, "--input", "1x8x8", "--normalise", "l2", "--allocate", "uniform"], "leave --normalise out"),
        ([CNN, "--input", "1x8x8", "--finetune", 5], "fine-tuning needs data"),
        ([CNN, "--input", "1x8x8", "--criterion", "taylor"], "give --data, or a criterion of weights alone"),
        (["zoo:nothing", "--input", "1x8x8"], "the zoo has no 'nothing'"),
    ],
)
def test_what_it_refuses(arguments, words):
    done = niwaki("prune", *arguments)
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_full_folder_is_refused_before_the_work(tmp_path):
    (tmp_path / "something").write_text("mine")
    done = niwaki("prune", CNN, "--input", "1x8x8", "--save", tmp_path)
    assert done.exit_code == 1
    assert "something" in "".join(path.name for path in tmp_path.iterdir())
    assert not (tmp_path / "plan.json").exists()


def test_requests_that_contradict_themselves():
    with pytest.raises(TrainError, match="batches = 0 is not a positive number"):
        Request(CNN, batches=0)
    with pytest.raises(BudgetError, match="units or parameters"):
        Request(CNN, share_of="time")


def test_inspect_shows_groups_and_reasons():
    done = niwaki("inspect", CNN, "--units", "channels", "--input", "1x8x8", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    model = load_model(CNN)
    expected = nw.channels(model, torch.zeros(1, 1, 8, 8))
    assert [row["name"] for row in found["groups"]] == [group.name for group in expected]
    assert found["left_out"] == dict(expected.left_out)
    # What one unit of the last group takes: by hand, from the shapes of its tensors.
    last, shapes = expected[-1], {name: p.shape for name, p in model.named_parameters()}
    counts = [shapes[s.tensor].numel() // shapes[s.tensor][s.dim] * len(s.index[0]) for s in last.slices]
    taken = sum(counts)
    assert found["groups"][-1]["parameters_per_unit"] == taken
    words = niwaki("inspect", CNN, "--units", "channels", "--input", "1x8x8").stdout
    assert "what stays whole" in words
    assert "channels, " in words


def test_states_are_cut_by_last_as_from_python():
    done = niwaki("prune", "zoo:s5", "--units", "states", "--criterion", "last", "--density", 0.67, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    torch.manual_seed(0)
    model = load_model("zoo:s5")
    groups = nw.states(model)
    keep = nw.last(model, groups, density=0.67)
    assert [group["kept"] for group in result["groups"]] == [int(keep[group.name].sum()) for group in groups]
    assert result["verified"]["same"]


_FLAT = """
from torch import nn

class Flat(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 64, 10)

    def forward(self, x):
        return self.last(self.first(x).relu().view(-1, 8 * 64))
"""


@pytest.fixture
def flat(tmp_path, monkeypatch):
    (tmp_path / "flat_network.py").write_text(_FLAT)
    monkeypatch.syspath_prepend(tmp_path)
    return "python:flat_network:Flat"


def test_a_size_in_the_code_falls_as_a_graph(flat, tmp_path):
    refused = niwaki("prune", flat, "--input", "1x8x8")
    assert refused.exit_code == 1
    assert "nw.shrink_graph can cut it" in refused.stderr
    done = niwaki("prune", flat, "--input", "1x8x8", "--graph", "--save", tmp_path / "small", "--json")
    assert done.exit_code == 0, done.output
    # 8 maps of 9 weights and a bias, 64 columns each in the last layer, and its biases; then 4 maps of them.
    assert json.loads(done.stdout)["parameters"] == [8 * (9 + 1 + 640) + 10, 4 * (9 + 1 + 640) + 10]
    assert open_model(str(tmp_path / "small"))(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_inspect_marks_what_only_a_graph_can_lose(flat):
    found = json.loads(niwaki("inspect", flat, "--units", "channels", "--graph", "--input", "1x8x8", "--json").stdout)
    assert [(row["name"], row["needs_graph"]) for row in found["groups"]] == [("first", True)]


def test_a_graph_is_not_fine_tuned():
    with pytest.raises(TrainError, match="fine-tune without --graph, and no program"):
        Request(CNN, "digits", graph=True, finetune=3)
