"""A folder that train or prune wrote is a model, for every command that takes one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import niwaki as nw
from niwaki.app import bench
from niwaki.app.cli import app
from niwaki.app.inspection import inspect_model
from niwaki.app.models import load_model
from niwaki.app.one_shot import cut, prune_and_write
from niwaki.app.origin import Origin, origin_of, read_origin, write_origin
from niwaki.app.request import Request
from niwaki.app.run import train
from niwaki.app.saved import is_trained, open_model
from niwaki.app.settings import Settings
from niwaki.core.errors import AddressError, StoreError, TrainError

CNN = "zoo:cnn?width=6"
SETTINGS = Settings(CNN, "digits", method="dense", steps=12, batch=32, threads=1, seed=3)
X = torch.linspace(-1, 1, 2 * 64).reshape(2, 1, 8, 8)


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "dense"
    return out, train(SETTINGS, out)


def pruned(model: str, out: Path, **more: object) -> Path:
    given = {"model": model, "criterion": "magnitude", "density": 0.5, "threads": 1, **more}
    prune_and_write(given, (out, None, None), "", overwrite=False, quiet=True)
    return out


def outputs(text: Path | str) -> torch.Tensor:
    found: torch.Tensor = open_model(str(text)).eval()(X)
    return found


def test_a_run_is_the_model_it_trained(dense):
    out, result = dense
    model = open_model(str(out))
    state = nw.load_checkpoint(out)["model"]
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in state.items())
    seen = cut(Request(str(out), "digits", density=0.9, threads=1)).result["dense"]["accuracy"]
    assert seen == result["accuracy"]


def test_a_sparse_run_keeps_its_zeros(tmp_path):
    result = train(replace(SETTINGS, method="static", density=0.2), tmp_path / "sparse")
    model = open_model(str(tmp_path / "sparse"))
    kept = sum(int(p.count_nonzero()) for name, p in model.named_parameters() if p.dim() > 1)
    assert kept == result["weights_kept"]
    found = inspect_model(str(tmp_path / "sparse"))
    assert sum(row["not_zero"] for row in found["layers"]) == kept < found["prunable"]
    assert {row["name"]: row["not_zero"] / row["parameters"] for row in found["layers"]} == result["densities"]
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "sparse")], env={"COLUMNS": "160"})
    assert f"({found['not_zero']:,} not zero)" in shown.stdout


def test_a_sparse_run_delivers_its_model_without_the_zeros(dense, tmp_path):
    settings = replace(SETTINGS, model=str(dense[0]), method="rigl", density=0.2, switches={"every": 3})
    result = train(settings, tmp_path / "sparse")
    file = tmp_path / "sparse" / "small" / "model.safetensors"
    held = load_model(CNN, classes=10, channels=1).state_dict().values()
    assert result["file"] == {
        "folder": "small", "bytes": file.stat().st_size, "dense_bytes": sum(t.numel() * t.element_size() for t in held)
    }  # fmt: skip
    assert file.stat().st_size < 0.6 * result["file"]["dense_bytes"]
    # The weights of the checkpoint, into the dense model's own code, with nothing but the folder.
    loaded = nw.load(load_model(CNN, classes=10, channels=1), file.parent)
    state = nw.load_checkpoint(tmp_path / "sparse")["model"]
    assert state.keys() == loaded.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in state.items())
    assert json.loads((tmp_path / "sparse" / "result.json").read_text())["file"] == result["file"]


def test_a_run_says_where_its_model_is_and_how_large(tmp_path):
    out = tmp_path / "run"
    words = ["train", "--model", "zoo:mlp", "--data", "digits", "--method", "static", "--density", "0.05"]
    ended = CliRunner().invoke(app, [*words, "--steps", "3", "--out", str(out)])
    assert ended.exit_code == 0
    size = (out / "small" / "model.safetensors").stat().st_size
    assert f"model    {out / 'small'}: a file of {size / 1000:.2f} kB, 68.9 kB dense" in ended.stdout
    page = (out / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    assert all(words in page for words in ("Model file", f"{size / 1000:.2f} kB", "dense 68.9 kB"))


def test_cut_again_and_again(dense, tmp_path):
    first = pruned(str(dense[0]), tmp_path / "first")
    second = pruned(str(first), tmp_path / "second", data="digits", finetune=2)
    sizes = [sum(p.numel() for p in open_model(str(at)).parameters()) for at in (dense[0], first, second)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    # Both are cut out of one dense model, and so is what is made from them.
    fresh = load_model(CNN, classes=10, channels=1)
    for folder in (first, second):
        assert torch.equal(nw.load(fresh, folder).eval()(X), outputs(folder))


@pytest.mark.parametrize("method", ["static", "dense"])
def test_training_goes_on_from_a_folder(dense, tmp_path, method):
    small = pruned(str(dense[0]), tmp_path / "small")
    start = outputs(small)
    settings = replace(SETTINGS, model=str(small), method=method, density=1.0, steps=1, lr=1e-30, weight_decay=0.0)
    train(settings, tmp_path / "more")
    again = open_model(str(tmp_path / "more"))
    for name, parameter in open_model(str(small)).named_parameters():
        assert torch.equal(again.get_parameter(name), parameter)
    assert again.eval()(X).shape == start.shape


def test_a_run_over_channels_is_the_smaller_model(dense, tmp_path):
    small = pruned(str(dense[0]), tmp_path / "small")
    settings = replace(SETTINGS, model=str(small), method="static", units="channels", density=0.5)
    result = train(settings, tmp_path / "channels")
    model = open_model(str(tmp_path / "channels"))
    assert sum(p.numel() for p in model.parameters()) == result["weights_kept"]
    assert result["file"]["bytes"] == (tmp_path / "channels" / "small" / "model.safetensors").stat().st_size
    inner = open_model(str(tmp_path / "channels" / "small"))
    assert torch.equal(model.eval()(X), inner.eval()(X))


def test_folders_say_the_size_of_an_input_and_their_dense_model(dense, tmp_path):
    small = pruned(str(dense[0]), tmp_path / "small")
    assert inspect_model(str(small))["macs"] < inspect_model(str(dense[0]))["macs"]
    found = bench.bench_models([str(small), str(dense[0])], rounds=2, warmup=0, threads=1)
    assert found["input"] == [1, 1, 8, 8]
    asked = CliRunner().invoke(app, ["inspect", str(small), "--units", "channels", "--json"])
    assert asked.exit_code == 0
    assert json.loads(asked.stdout)["groups"]


def test_an_origin_goes_into_a_file_and_back(tmp_path):
    assert read_origin(tmp_path) is None
    origin = Origin("zoo:cnn", classes=7, channels=3, size=(3, 8, 8))
    write_origin(tmp_path, origin)
    assert read_origin(tmp_path) == origin
    # What is made from the folder comes from the same dense model.
    made = origin_of(str(tmp_path), None, torch.zeros(2, 3, 9, 9))
    assert made == replace(origin, size=(3, 9, 9), start=str(tmp_path.resolve()))
    assert origin_of("zoo:char_gru", None, torch.zeros(2, 5, dtype=torch.int64)).size is None
    for damaged in ('{"model": "zoo:cnn"}', '{"size": [1], "modle": "zoo:cnn"}', '{"model": "zoo:cnn", "size": "ab"}'):
        (tmp_path / "origin.json").write_text(damaged)
        with pytest.raises(StoreError, match=r"origin\.json is damaged: .*; make the folder anew"):
            read_origin(tmp_path)


def test_folders_without_a_model_say_what_is_missing(dense, tmp_path):
    with pytest.raises(AddressError, match=r"neither plan\.json.* nor program\.pt2.* nor config\.json of a run"):
        open_model(str(tmp_path))
    with pytest.raises(AddressError, match="no folder that is there, and no address of a model"):
        open_model("nowhere")
    model = load_model(CNN, classes=10, channels=1)
    nw.save(model, tmp_path / "plain")
    with pytest.raises(AddressError, match="does not say which that is.* --dense zoo:resnet20"):
        open_model(str(tmp_path / "plain"))
    assert torch.equal(
        open_model(str(tmp_path / "plain"), dense=CNN + "&channels=1").eval()(X), model.eval()(X)
    )  # fmt: skip
    begun = tmp_path / "begun"
    train(SETTINGS, begun)
    (begun / "result.json").unlink()
    with pytest.raises(
        AddressError, match="has not ended, so it delivers no model yet; go on .* --out .*begun --resume"
    ):
        open_model(str(begun))
    (begun / "result.json").write_text("{}")
    (begun / "origin.json").unlink()
    with pytest.raises(AddressError, match=r"made from: origin\.json is missing"):
        open_model(str(begun))


def test_a_trained_model_begins_with_its_largest_weights(dense, tmp_path):
    settings = replace(SETTINGS, model=str(dense[0]), method="static", density=0.3, steps=1, lr=1e-30, weight_decay=0.0)
    train(settings, tmp_path / "usual")
    train(replace(settings, switches={"init": "random"}), tmp_path / "random")
    whole = dict(open_model(str(dense[0])).named_parameters())
    least = []
    for run in ("usual", "random"):
        kept = {n: p != 0 for n, p in open_model(str(tmp_path / run)).named_parameters() if p.dim() > 1}
        least.append(
            [whole[n][mask].abs().min() >= whole[n][~mask].abs().max() for n, mask in kept.items() if not mask.all()]
        )
    assert all(least[0])
    assert not all(least[1])


def test_what_comes_trained_is_known_by_its_address(dense):
    for text in (str(dense[0]), "hf:gpt2", "timm:resnet18?pretrained=true", "zoo:resnet20?weights=a.safetensors"):
        assert is_trained(text)
    for text in (CNN, "timm:resnet18", "timm:resnet18?pretrained=false", "python:module:net"):
        assert not is_trained(text)


@pytest.fixture(scope="module")
def program(dense, tmp_path_factory):
    return pruned(str(dense[0]), tmp_path_factory.mktemp("programs") / "graph", graph=True, data="digits")


def test_a_program_is_looked_at_and_pruned_again(program, tmp_path):
    whole, before = inspect_model(str(program), density=0.3), outputs(program)
    assert [row["name"] for row in whole["layers"]] == ["conv1.weight", "conv2.weight", "conv3.weight", "linear.weight"]
    assert whole["density"] == pytest.approx(0.3, abs=0.01)
    made = cut(Request(str(program), "digits", density=0.5, criterion="magnitude", threads=1))
    assert made.result["verified"]["same"] and made.request.graph  # nobody asked for one: nothing else can be made
    assert torch.equal(outputs(program), before)
    again = pruned(str(program), tmp_path / "again", data="digits")
    less = inspect_model(str(again))
    assert less["parameters"] == made.result["parameters"][1] < whole["parameters"]
    torch.testing.assert_close(outputs(again), made.small(X))


def test_a_program_is_not_trained(program, tmp_path):
    with pytest.raises(TrainError, match=r"is a program, .* cannot be trained; train the model that it was made from"):
        train(replace(SETTINGS, model=str(program)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(TrainError, match="fine-tune without --graph, and no program"):
        cut(Request(str(program), "digits", finetune=3))
