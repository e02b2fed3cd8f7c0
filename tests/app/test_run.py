"""Runs write whole folders, and a run that was stopped ends as if it had not been."""

import json
import os
import re
import threading

import pytest
import torch

from niwaki.app.run import resume, train
from niwaki.core import AddressError, SignalError, StoreError, TrainError
from niwaki.store import load_checkpoint
from tests.app.short_runs import IEE, Notes, StopAt, Stopped, assert_same_run, records, settings, tensors


def test_a_run_folder_holds_everything(tmp_path):
    out = tmp_path / "run"
    result = train(settings(**IEE, density=0.2), out, command="niwaki train ...")
    names = {path.name for path in out.iterdir() if not path.name.startswith("tensors-")}
    files = {
        "config.json",
        "versions.json",
        "origin.json",
        "metrics.jsonl",
        "ledger.json",
        "result.json",
        "checkpoint.json",
        "small",
    }
    assert names == files
    config = json.loads((out / "config.json").read_text())
    assert (config["method"], config["steps"], config["command"]) == ("iee", 44, "niwaki train ...")
    assert config["epochs"] == 44 / (1295 // 32) and config["switches"] == {"H": 4, "J": 3, "Q": 3}
    versions = json.loads((out / "versions.json").read_text())
    assert set(versions) == {"niwaki", "torch", "python", "numpy", "machine", "threads"}
    assert os.uname().nodename not in json.dumps(versions)
    assert result == json.loads((out / "result.json").read_text())
    by_kind = {kind: [r for r in records(out) if r["kind"] == kind] for kind in ("train", "eval", "move")}
    assert [r["step"] for r in by_kind["train"]] == list(range(1, 45))
    assert [r["step"] for r in by_kind["eval"]] == [40, 44]
    assert [r["move"] for r in by_kind["move"]][:3] == ["drop", "explore", "grow"]
    assert {r["stage"] for r in by_kind["train"]} == {"estimate", "improve", "explore", "train"}
    # Stages are those the step ran in: 4 to estimate, 3 to improve, 3 to explore.
    assert [r["stage"] for r in by_kind["train"][:10]] == ["estimate"] * 4 + ["improve"] * 3 + ["explore"] * 3


def test_the_result_is_that_of_the_delivered_model(tmp_path):
    result = train(settings(**IEE, density=0.2), tmp_path / "run")
    from niwaki.app.data import load_data, ready
    from niwaki.zoo import mlp

    total = 64 * 16 + 16 * 10
    assert (result["weights_total"], result["weights_kept"]) == (total, round(0.2 * total))
    assert result["density"] == result["weights_kept"] / total
    model = mlp((64, 16, 10)).eval()
    model.load_state_dict(load_checkpoint(tmp_path / "run")["model"])
    kept = [int((p != 0).sum()) / p.numel() for p in model.parameters() if p.dim() > 1]
    assert list(result["densities"].values()) == pytest.approx(kept)
    data = load_data("digits")
    guess = model(ready(data, data.test[0])).argmax(1)
    assert result["accuracy"] == pytest.approx(float((guess == data.test[1]).double().mean()))


def test_evaluation_in_the_middle_of_an_exploration_is_of_the_delivered_model(tmp_path):
    long = settings(method="iee", steps=120, checkpoint_every=40, switches={"H": 30, "J": 5, "Q": 30})
    with pytest.raises(Stopped):
        train(long, tmp_path / "run", progress=StopAt(41))
    state = load_checkpoint(tmp_path / "run")
    assert state["sparsifier"]["is_exploring"]
    from niwaki.app.data import load_data, ready

    data = load_data("digits")
    x = ready(data, data.valid[0]).flatten(1)
    for layer in range(2):
        weight, bias = (state["model"][f"layers.{layer}.{kind}"] for kind in ("weight", "bias"))
        home = state["sparsifier"]["home"][f"layers.{layer}.weight"].reshape(weight.shape)
        assert (weight * ~home).abs().sum() > 0  # the exploring weights are there, and must not count
        x = torch.relu(x) @ (weight * home).T + bias if layer else x @ (weight * home).T + bias
    (found,) = [r for r in records(tmp_path / "run") if r["kind"] == "eval"]
    chosen = torch.log_softmax(x, 1).gather(1, data.valid[1][:, None])
    assert found["loss"] == pytest.approx(-float(chosen.mean()), rel=1e-4)
    assert found["accuracy"] == pytest.approx(float((x.argmax(1) == data.valid[1]).double().mean()))


def test_a_model_that_comes_in_eval_mode_is_trained(tmp_path, own_modules):
    (own_modules / "net_asleep.py").write_text(
        "from torch import nn\n"
        "def net():\n    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10)).eval()\n"
    )
    train(settings(model="python:net_asleep:net", method="static", steps=7), tmp_path / "run")
    assert int(load_checkpoint(tmp_path / "run")["model"]["1.num_batches_tracked"]) == 7


def test_a_dense_run_costs_one_dense_run(tmp_path):
    result = train(settings(method="dense"), tmp_path / "run")
    assert (result["density"], result["dense_runs"]) == (1.0, 1.0)
    # 3 passes, 2 FLOPs a multiplication, 32 samples.
    assert result["flops"] == 44 * 3 * 2 * 32 * (64 * 16 + 16 * 10)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["density"] == 1.0


def test_epochs_are_passes_over_the_training_part(tmp_path, mnist_like):
    result = train(
        settings(model="zoo:mlp?widths=36,4", data=f"npz:{mnist_like[0]}", method="dense", steps=None, epochs=2.5),
        tmp_path / "run",
    )
    assert result["steps"] == round(2.5 * (180 // 32))


def test_one_seed_one_run_and_another_seed_another(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train(settings(method="static", steps=5, seed=seed), tmp_path / name)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    weights = [tensors(tmp_path / name)["model/layers.0.weight"] for name in ("a", "c")]
    assert not torch.equal(*weights)


def test_a_folder_in_use_is_left_alone(tmp_path):
    train(settings(method="dense", steps=3), tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(StoreError, match="is not empty; add --resume to go on .*, --overwrite to replace it"):
        train(settings(steps=3), tmp_path / "run")
    with pytest.raises(AddressError, match="unknown scheme"):
        train(settings(model="zo:mlp"), tmp_path / "run", overwrite=True)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    train(settings(method="static", steps=4), tmp_path / "run", overwrite=True)
    assert json.loads((tmp_path / "run" / "result.json").read_text())["steps"] == 4
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert len(list((tmp_path / "run").glob("tensors-*"))) == 1


def test_a_loss_that_explodes_stops_the_run_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(SignalError, match="is not finite in step"):
        train(settings(method="static", lr=1e30, checkpoint_every=1), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run")["extra"]["position"]["step"] >= 1


def test_a_changed_setting_of_the_machine_is_told(tmp_path):
    with pytest.raises(Stopped):
        train(settings(method="dense", threads=1), tmp_path / "run", progress=StopAt(6))

    notes = Notes()
    resume(tmp_path / "run", {"threads": 2}, progress=notes)
    assert notes.said == ["not as when the run began, so the last bits may differ: threads 1 -> 2"]
    assert torch.get_num_threads() != 2 or os.environ.get("OMP_NUM_THREADS") == "2"


def test_a_processor_of_other_instructions_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    with pytest.raises(Stopped):
        train(settings(method="dense"), tmp_path / "run", progress=StopAt(6))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    notes = Notes()
    resume(tmp_path / "run", {}, progress=notes)
    (said,) = notes.said
    assert re.search(r"machine \S+ \S+ \(AVX512\), \d+ cores -> \S+ \S+ \(AVX2\), \d+ cores$", said)


def test_a_pattern_has_its_own_density(tmp_path):
    result = train(settings(method="static", steps=3, units="1:4"), tmp_path / "run")
    assert result["density"] == 0.25
    assert json.loads((tmp_path / "run" / "config.json").read_text())["density"] == 0.25


def test_a_run_in_another_thread_needs_no_signals(tmp_path):
    found = []
    worker = threading.Thread(target=lambda: found.append(train(settings(method="dense", steps=3), tmp_path / "run")))
    worker.start()
    worker.join()
    assert found[0]["steps"] == 3


def test_a_model_that_does_not_fit_the_data_is_refused_before_a_file_is_written(tmp_path):
    with pytest.raises(TrainError, match="the model zoo:lenet300 does not take the data digits"):
        train(settings(model="zoo:lenet300"), tmp_path / "run")
    with pytest.raises(TrainError, match="the device 'cuda:99' cannot be used|the device 'tpu' cannot be used"):
        train(settings(device="tpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
