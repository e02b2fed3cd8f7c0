"""A run that was stopped ends as if it had not been, or says why it cannot go on."""

import os
import signal
import subprocess
import sys

import pytest

from niwaki.app.run import resume, train
from niwaki.core import StoreError, TrainError
from niwaki.store import load_checkpoint
from tests.app.short_runs import IEE, SHORT, StopAt, Stopped, assert_same_run, settings


@pytest.mark.parametrize("at", [1, 5, 6, 17, 29, 30, 43, 44])
def test_a_stopped_run_ends_as_the_whole_one(tmp_path, at, whole_iee):
    with pytest.raises(Stopped):
        train(settings(**IEE), tmp_path / "run", progress=StopAt(at))
    with pytest.raises(Stopped):
        resume(tmp_path / "run", {}, progress=StopAt(max(at, 9) + 1 if at < 43 else 44))
    resume(tmp_path / "run", {})
    assert_same_run(tmp_path / "run", whole_iee)


@pytest.fixture(scope="module")
def whole_iee(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(settings(**IEE), folder)
    return folder


OTHERS = [
    {"method": "dense", "optimizer": "adamw", "lr": 0.01},
    {"method": "rigl", "switches": {"every": 5}},
    {"method": "set", "switches": {"every": 5}, "schedule": "constant"},
    {"method": "gmp", "switches": {"every": 5}, "units": "4x4"},
    {"method": "acdc", "switches": {"compress": (0.2, 0.7), "decompress": (0.4,)}},
    {"method": "iee", "switches": {"H": 4, "J": 3, "Q": 3, "criterion": "taylor"}, "precision": "bf16"},
]


@pytest.mark.parametrize("changed", OTHERS, ids=lambda c: f"{c['method']}")
def test_every_method_goes_on_exactly(tmp_path, changed):
    train(settings(**changed), tmp_path / "whole")
    with pytest.raises(Stopped):
        train(settings(**changed), tmp_path / "run", progress=StopAt(23))
    resume(tmp_path / "run", {})
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_pictures_that_vary_and_dropout_go_on_exactly(tmp_path, own_modules, mnist_like):
    (own_modules / "nets_with_chance.py").write_text(
        "from torch import nn\n"
        "def net(classes=4):\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(),\n"
        "                         nn.Linear(64, classes))\n"
    )
    changed = settings(
        model="python:nets_with_chance:net", data=f"npz:{mnist_like[0]}?augment=true", **IEE, channels_last=True
    )
    train(changed, tmp_path / "whole")
    with pytest.raises(Stopped):
        train(changed, tmp_path / "run", progress=StopAt(19))
    resume(tmp_path / "run", {})
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_the_step_writes_a_checkpoint_and_says_how_to_go_on(tmp_path, whole_iee):
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "run"
    with pytest.raises(
        KeyboardInterrupt, match=rf"stopped after step 8 of 44; go on with: niwaki train --out {out} --re"
    ):
        train(settings(**IEE), out, progress=StopAt(8, how=lambda: signal.raise_signal(signal.SIGINT)))
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(out)["extra"]["position"]["step"] == 8
    resume(out, {})
    assert_same_run(out, whole_iee)


def test_what_cannot_be_resumed_is_explained(tmp_path):
    with pytest.raises(StoreError, match=r"there is no run in .*none to go on with; check the folder, or give model"):
        resume(tmp_path / "none", {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"there is no run in .*other to go on with \(config.json is missing\)"):
        resume(tmp_path / "other", {})
    with pytest.raises(StoreError, match=r"notes.txt is a file; name a folder"):
        resume(tmp_path / "other" / "notes.txt", {})
    out = tmp_path / "run"
    with pytest.raises(Stopped):
        train(settings(method="dense"), out, progress=StopAt(12))
    with pytest.raises(TrainError, match="begun with batch = 32, not 64"):
        resume(out, {"batch": 64})
    metrics = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(metrics[:300])
    with pytest.raises(StoreError, match=r"metrics.jsonl has \d+ lines, the checkpoint was made after 10; restore it"):
        resume(out, {})
    assert (out / "metrics.jsonl").read_bytes() == metrics[:300]
    (out / "metrics.jsonl").write_bytes(metrics)
    (file,) = out.glob("tensors-*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match="is damaged or was edited"):
        resume(out, {})
    (out / "config.json").write_text("{")
    with pytest.raises(StoreError, match=r"config.json is damaged: .*; restore it, or start the run anew"):
        resume(out, {})


def test_resume_begins_a_run_that_never_began_and_repeats_a_finished_one(tmp_path):
    fresh = {**SHORT, "method": "static", "steps": 6}
    first = resume(tmp_path / "run", fresh)
    again = resume(tmp_path / "run", fresh)
    assert first == again


HOLDS = """
import sys, time
from pathlib import Path
from niwaki.app.folder import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_run_that_another_process_writes_is_left_alone(tmp_path):
    with pytest.raises(Stopped):
        train(settings(method="dense"), tmp_path / "run", progress=StopAt(12))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    command = [sys.executable, "-c", HOLDS, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout.readline() == "held\n"
            for call in (
                lambda: resume(tmp_path / "run", {}),
                lambda: train(settings(method="dense"), tmp_path / "run", overwrite=True),
            ):
                with pytest.raises(StoreError, match="another process is writing the run in .*run; let it come to its"):
                    call()
            assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
        finally:
            other.kill()
    assert resume(tmp_path / "run", {})["steps"] == 44
