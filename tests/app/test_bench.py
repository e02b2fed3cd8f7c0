"""Comparing models on this machine: what is measured, what is said, and what it refuses."""

import importlib.util
import io
import json
import shutil

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app import bench
from niwaki.app.cli import app
from niwaki.app.models import load_model
from niwaki.app.saved import open_model
from niwaki.core import AddressError, StoreError, TrainError
from niwaki.measure import Timing, Timings

LARGE, SMALL = "zoo:mlp?widths=64,1500,1500,10", "zoo:mlp?widths=64,8,10"
QUICK = ["--rounds", "5", "--warmup", "1", "--threads", "1"]


def niwaki(*arguments):
    return CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])


def test_a_model_that_is_faster():
    found = bench.bench_models([LARGE, SMALL], rounds=7, warmup=1, threads=1, batch=16)
    large, small = found["models"]
    assert (found["input"], found["threads"], found["device"], found["rounds"]) == ([16, 64], 1, "cpu", 7)
    assert (large["name"], large["ratio"], large["interval"]) == (LARGE, 1, [1, 1])
    assert large["parameters"] == 64 * 1500 + 1500 * 1500 + 1500 * 10 + 3010
    assert small["seconds"] < large["seconds"]
    assert small["interval"][0] <= small["ratio"] <= small["interval"][1] < 1
    assert found["verdicts"][0].startswith(f"{SMALL} is ")
    assert f"times as fast as {LARGE} (95 % interval " in found["verdicts"][0]


def _told(monkeypatch, ratio, low, high, *, calm=True):
    """The words for a second model with this ratio and interval."""
    rows = (Timing("a", (1.0,), 1.0, 0.02, 1.0, 1.0, 1.0), Timing("b", (ratio,), ratio, 0.3, ratio, low, high))
    monkeypatch.setattr(bench, "time_models", lambda *_, **__: Timings(rows, 3, 2, calm))
    monkeypatch.setattr(bench, "_names", lambda texts: ["a", "b"])
    found = bench.bench_models([SMALL, SMALL])
    console = Console(file=io.StringIO(), width=160)
    bench.show(found, console)
    return found["verdicts"][0], console.file.getvalue()


def test_a_gain_is_said_with_its_interval(monkeypatch):
    verdict, text = _told(monkeypatch, 0.5, 0.4, 0.625)
    assert verdict == "b is 2.00 times as fast as a (95 % interval 1.60 to 2.50)"
    assert verdict in text
    for part in ("one call on 1 x 64, 3 CPU threads, medians of 30", "500.000", "30.0%", "0.500", "0.400 to 0.625"):
        assert part in text
    assert "restless" not in text


def test_no_gain_is_said_plainly(monkeypatch):
    verdict, text = _told(monkeypatch, 0.97, 0.9, 1.04)
    assert verdict == "no gain here: b takes 0.97 times as long as a (95 % interval 0.90 to 1.04, which contains 1)"
    assert verdict in text
    verdict, _ = _told(monkeypatch, 1.2, 1.1, 1.3)
    assert verdict == "no gain here: b takes 1.20 times as long as a (95 % interval 1.10 to 1.30)"


def test_a_restless_machine_is_said(monkeypatch):
    _, text = _told(monkeypatch, 0.97, 0.9, 1.04, calm=False)
    assert "this machine was restless: quartiles up to 30% of the median apart after 2 attempts. Close other" in text


def test_the_same_model_twice_has_two_names():
    found = bench.bench_models([SMALL, SMALL], rounds=2, warmup=0, threads=1)
    assert [row["name"] for row in found["models"]] == [f"{SMALL} #1", f"{SMALL} #2"]


def test_models_of_characters_have_inputs_too():
    found = bench.bench_models(["zoo:char_gru", "zoo:char_gru"], rounds=2, warmup=0, threads=1, batch=2)
    assert found["input"][0] == 2


def test_a_smaller_model_from_its_folder(tmp_path):
    dense = load_model("zoo:mlp?widths=8,6,4")
    index = torch.arange(6).reshape(6, 1)
    slices = (
        nw.Slice("layers.0.weight", (6, 8), dim=0, index=index, role="out"),
        nw.Slice("layers.0.bias", (6,), dim=0, index=index, role="bias"),
        nw.Slice("layers.1.weight", (4, 6), dim=1, index=index, role="in"),
    )
    keep = {"hidden": torch.tensor([True, False, True, False, False, True])}
    small = nw.shrink(dense, [nw.Group("hidden", 6, slices, kind="channel")], keep)
    nw.save(small, tmp_path / "small")
    texts = ["zoo:mlp?widths=8,6,4", str(tmp_path / "small")]
    found = bench.bench_models(texts, size="8", rounds=2, warmup=0, threads=1)
    # 3 units instead of 6: 3 (8 + 1) + 4 (3 + 1).
    assert [row["parameters"] for row in found["models"]] == [82, 43]
    again = open_model(texts[1], dense=texts[0])
    assert torch.equal(again.eval()(torch.ones(2, 8)), small.eval()(torch.ones(2, 8)))
    with pytest.raises(
        AddressError, match="holds a smaller model, which is built from the dense .* --dense zoo:resnet2"
    ):
        bench.bench_models([texts[1], texts[1]])
    named = bench.bench_models([texts[1], texts[1]], dense=texts[0], size="8", rounds=2, warmup=0, threads=1)
    assert [row["parameters"] for row in named["models"]] == [43, 43]


def test_programs(tmp_path):
    model = load_model("zoo:mlp?widths=8,6,4").eval()
    nw.save_program(model, tmp_path / "small.pt2", torch.ones(2, 8))
    found = bench.bench_models(
        ["zoo:mlp?widths=8,6,4", str(tmp_path / "small.pt2")], rounds=2, warmup=0, threads=1, batch=3
    )
    assert [row["parameters"] for row in found["models"]] == [82, 82]
    nw.save_program(model, tmp_path / "folder", torch.ones(2, 8))
    assert torch.equal(open_model(str(tmp_path / "folder"))(torch.ones(2, 8)), model(torch.ones(2, 8)))


def test_what_it_refuses(tmp_path):
    def fails(error, match, texts, **more):
        with pytest.raises(error, match=match):
            bench.bench_models(texts, **more)

    fails(AddressError, "two models or more on one input or more, not 1 on 1; .* give it twice", [SMALL])
    fails(AddressError, "not 2 on 0", [SMALL, SMALL], batch=0)
    fails(AddressError, r"zoo:cnn does not take inputs of shape \(1, 64\): .* --input 3x32x32", ["zoo:mlp", "zoo:cnn"])
    fails(AddressError, "the input size 'x3' needs the form", [SMALL, SMALL], size="x3")
    fails(AddressError, "the folder '.*' holds no model: neither plan.json", [SMALL, str(tmp_path)])
    fails(AddressError, "'zoo:mlq'.*did you mean", ["zoo:mlq", SMALL])
    fails(AddressError, "'nowhere' is no folder that is there, and no address of a model", [SMALL, "nowhere"])
    fails(TrainError, "two rounds or more", [SMALL, SMALL], rounds=1)
    fails(TrainError, "the device 'gpu' cannot be used", [SMALL, SMALL], device="gpu")
    (tmp_path / "plan.json").write_text("{")
    fails(StoreError, "plan.json", [SMALL, str(tmp_path)])


def test_a_backend_is_named_with_its_extra(monkeypatch):
    with pytest.raises(
        AddressError, match="the backend 'onnx' is unknown; did you mean 'onnxruntime'.* Known: eager, co"
    ):
        bench.bench_models([SMALL, SMALL], backend="onnx")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    with pytest.raises(
        AddressError, match=r"the backend onnxruntime needs onnxruntime: pip install 'niwaki\[export\]'"
    ):
        bench.bench_models([SMALL, SMALL], backend="onnxruntime")


@pytest.mark.parametrize("backend", ["compile", "onnxruntime"])
def test_models_on_other_backends(backend):
    if backend == "onnxruntime":
        pytest.importorskip("onnxscript", reason="writing ONNX needs the extra `export`")
        pytest.importorskip("onnxruntime", reason="running ONNX needs the extra `export`")
    elif shutil.which("c++") is None:
        pytest.skip("compiling needs a C++ compiler")
    found = bench.bench_models([LARGE, SMALL], rounds=5, warmup=1, threads=1, batch=16, backend=backend)
    assert found["backend"] == backend
    # A layer of 1500 x 1500 is no match for one of 8 x 8 anywhere.
    assert found["models"][1]["ratio"] < 0.8
    console = Console(file=io.StringIO(), width=160)
    bench.show(found, console)
    assert f"1 CPU thread, {backend}, medians" in console.file.getvalue()


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this torch has no MKL")
def test_zeros_are_skipped_where_that_is_faster(own_modules):
    (own_modules / "thin_net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    net = nn.Sequential(nn.Linear(1024, 1024, bias=False), nn.ReLU(), nn.Linear(1024, 10))\n"
        "    net[0].weight.data.masked_fill_(torch.rand(1024, 1024) > 0.01, 0)\n"
        "    return net\n"
    )
    texts = ["zoo:mlp?widths=1024,1024,10", "python:thin_net:net"]
    found = bench.bench_models(texts, size="1024", rounds=5, warmup=1, threads=1, batch=32, backend="sparse")
    assert [layer["skips"] for layer in found["skipping"][texts[0]]] == [False, False]
    first, last = found["skipping"][texts[1]]
    assert (first["skips"], last["skips"], last["why"]) == (True, False, "too few of its weights are zero")
    # A hundredth of the products of the layer that takes nearly all of the time.
    assert found["models"][1]["ratio"] < 0.7
    assert found["models"][1]["parameters"] == 1024 * 1024 + 10_250
    console = Console(file=io.StringIO(), width=160)
    bench.show(found, console)
    text = console.file.getvalue()
    assert f"{texts[0]}: no layer skips zeros: too few of its weights are zero" in text
    assert f"{texts[1]}: zeros are skipped in 0 (in 0." in text and "1 CPU thread, sparse, medians" in text


def test_models_that_say_nothing_of_their_inputs(own_modules):
    (own_modules / "sizeless_net.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(3, 2)\n")
    texts = ["python:sizeless_net:net"] * 2
    with pytest.raises(AddressError, match="none of .* says what inputs it takes; give their size: --input 3x32x32"):
        bench.bench_models(texts)
    assert bench.bench_models(texts, size="3", rounds=2, warmup=0, threads=1)["input"] == [1, 3]


def test_the_command():
    result = niwaki(LARGE, SMALL, *QUICK)
    assert result.exit_code == 0, result.output
    assert "times as fast as" in result.stdout and "95 % interval" in result.stdout
    found = json.loads(niwaki(LARGE, SMALL, *QUICK, "--json").stdout)
    assert [row["name"] for row in found["models"]] == [LARGE, SMALL]
    assert niwaki(LARGE, SMALL, *QUICK, "-q").output == ""
    wrong = niwaki(LARGE)
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("error: bench compares two models or more")
    assert niwaki().exit_code == 2
