"""ONNX and OpenVINO compute what the model computes, or nothing is written."""

from __future__ import annotations

import errno
import os
import sys

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import StoreError
from niwaki.store import export_onnx, export_openvino, runtimes
from niwaki.store.calling import call_of
from niwaki.store.files import settle
from niwaki.store.parity import Parity, check_parity, compare
from tests.store.cut_models import small_net

IMAGES = torch.linspace(-1, 1, 7 * 3 * 6 * 6).reshape(7, 3, 6, 6)
WHY = "it comes with the extra `export`"


@pytest.fixture
def onnx():
    pytest.importorskip("onnxscript", reason=WHY)
    pytest.importorskip("onnxruntime", reason=WHY)
    return pytest.importorskip("onnx", reason=WHY)


@pytest.fixture
def openvino():
    return pytest.importorskip("openvino", reason=WHY)


def run_onnx(path, *arrays):
    onnxruntime = pytest.importorskip("onnxruntime", reason=WHY)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def test_onnx_computes_the_same_for_any_batch(onnx, tmp_path):
    small = small_net()
    parity = export_onnx(small, tmp_path / "net.onnx", IMAGES[:2], opset=20)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    worst = 0.0
    for count in (1, 2, 5, 7):
        (found,) = run_onnx(tmp_path / "net.onnx", IMAGES[:count].numpy())
        wanted = small(IMAGES[:count]).detach().numpy()
        assert found.shape == wanted.shape
        worst = max(worst, float(np.abs(found - wanted).max()))
    assert worst < 1e-5 and parity.difference < 1e-5
    assert parity.batches == (1, 2, 5) and parity.path == tmp_path / "net.onnx"
    assert parity.runtime.startswith("onnxruntime ")
    stored = onnx.load(tmp_path / "net.onnx")
    about = {entry.key: entry.value for entry in stored.metadata_props}
    assert float(about["niwaki.max_abs_difference"]) == parity.difference
    assert [entry.version for entry in stored.opset_import if not entry.domain] == [20]


class Two(nn.Module):
    """Keyword inputs in any order, two outputs, a recurrent layer."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)

    def forward(self, x, bias, scale):
        hidden, _ = self.lstm(x)
        return {"hidden": hidden * scale, "sum": hidden.sum(1) + bias}


def test_onnx_with_keyword_inputs(onnx, tmp_path):
    model = Two().eval()
    example = {"scale": torch.tensor(3.0), "x": torch.randn(2, 5, 3), "bias": torch.randn(2, 4)}
    parity = export_onnx(model, tmp_path / "two.onnx", example)
    assert parity.difference < 1e-5
    names = [entry.name for entry in onnx.load(tmp_path / "two.onnx").graph.input]
    found = run_onnx(tmp_path / "two.onnx", *(example[name].numpy() for name in names))
    for one, other in zip(model(**example).values(), found, strict=True):
        assert np.allclose(one.detach().numpy(), other, atol=1e-5)


def test_openvino_computes_the_same_for_any_batch(openvino, tmp_path):
    small = small_net()
    parity = export_openvino(small, tmp_path / "folder", IMAGES[:2])
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["model.bin", "model.xml"]
    read = openvino.Core().read_model(tmp_path / "folder" / "model.xml")
    assert float(read.get_rt_info(["niwaki", "max_abs_difference"]).astype(str)) == parity.difference
    compiled = openvino.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 2, 7):
        found = compiled([IMAGES[:count].numpy()])[0]
        assert np.allclose(found, small(IMAGES[:count]).detach().numpy(), atol=1e-5)
    assert parity.difference < 1e-5 and parity.batches == (1, 2, 5)
    with pytest.raises(StoreError, match=r"model.xml is there already; choose another name, or say overwrite=True"):
        export_openvino(small, tmp_path / "folder", IMAGES)
    with torch.no_grad():
        small.frozen.add_(1)
    (tmp_path / "folder" / ".writing.4711.tmp").mkdir()  # left by a killed process
    export_openvino(small, tmp_path / "folder", IMAGES[:2], overwrite=True, dynamic_batch=False)
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["model.bin", "model.xml"]
    compiled = openvino.compile_model(tmp_path / "folder" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.allclose(compiled([IMAGES[:2].numpy()])[0], small(IMAGES[:2]).detach().numpy(), atol=1e-5)


class Drifts(nn.Module):
    """Another function on every call, as no runtime can follow."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        if not torch.compiler.is_exporting():
            self.calls += 1
        return x * 2 + self.calls


def test_onnx_that_differs_is_not_written(onnx, tmp_path):
    before = b"what was there"
    (tmp_path / "net.onnx").write_bytes(before)
    with pytest.raises(
        StoreError, match=r"onnxruntime [\d.]+ computes outputs from .*net.onnx that are [1-9].* away from"
    ):
        export_onnx(Drifts().eval(), tmp_path / "net.onnx", torch.ones(2, 3), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert (tmp_path / "net.onnx").read_bytes() == before


def test_openvino_that_differs_is_not_written(openvino, tmp_path):
    with pytest.raises(StoreError, match=r"OpenVINO .* computes outputs from .*model.xml that are [1-9].* away from"):
        export_openvino(Drifts().eval(), tmp_path, torch.ones(2, 3))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(onnx, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", full)
    with pytest.raises(StoreError, match=r"cannot write .*No space left on device \([\d,]+ bytes needed"):
        export_onnx(nn.Linear(2, 2).eval(), tmp_path / "net.onnx", torch.ones(2, 2))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_needs_a_word(onnx, tmp_path):
    (tmp_path / "net.onnx").write_text("mine")
    with pytest.raises(StoreError, match=r"net.onnx is there already; choose another name, or say overwrite=True"):
        export_onnx(small_net(), tmp_path / "net.onnx", IMAGES)
    assert (tmp_path / "net.onnx").read_text() == "mine"


def test_an_operator_that_onnx_does_not_have_is_named(onnx, tmp_path):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.matrix_exp(x)

    with pytest.raises(
        StoreError, match=r"Odd cannot be written as ONNX \(.*; it may use operators that ONNX does not"
    ):
        export_onnx(Odd().eval(), tmp_path / "odd.onnx", torch.ones(2, 3, 3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "export"), [("onnxruntime", export_onnx), ("openvino", export_openvino)])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, export):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(StoreError, match=rf"{name} is needed here and not installed: pip install 'niwaki\[export\]'"):
        export(small_net(), tmp_path / "net.onnx", IMAGES)
    assert list(tmp_path.iterdir()) == []


def test_the_difference_is_the_largest_over_all_outputs_and_batches(tmp_path):
    model, call = nn.Identity(), call_of(torch.tensor([[1.0], [-8.0]]))
    # Off by a tenth of the batch size: 1, 2 and 5 are compared.
    found = compare(
        model, call, tmp_path, lambda this: [this.args[0].numpy() + this.batch / 10], runtime="none", dynamic_batch=True
    )
    assert found.batches == (1, 2, 5) and found.largest == 8
    assert found.difference == pytest.approx(0.5, abs=1e-6)
    check_parity(found, 0.5 / 8 + 1e-6)
    with pytest.raises(StoreError, match=r"that are 0.5 away from the model's, 0.48 is allowed; nothing was written"):
        check_parity(found, 0.06)
    with pytest.raises(StoreError, match="that are nan away"):
        check_parity(Parity(tmp_path, "none", float("nan"), 1.0, (1,)), 1.0)
    broken = compare(
        model, call, tmp_path, lambda this: [this.args[0].numpy() * np.nan], runtime="none", dynamic_batch=False
    )
    with pytest.raises(StoreError, match="that are inf away"):
        check_parity(broken, 1.0)
    with pytest.raises(
        StoreError, match=r"none cannot run .* on 1 examples as Identity does \(ValueError: its outputs"
    ):
        compare(model, call, tmp_path, lambda this: [this.args[0].numpy()[0]], runtime="none", dynamic_batch=True)


def repeating(arrays):
    return lambda call: arrays


def test_infinite_outputs_agree_where_they_are_the_same(tmp_path):
    given = torch.tensor([[1.0, float("-inf")], [-8.0, float("inf")]])
    ways = {"same": given, "other": given.nan_to_num(neginf=-9.0), "finite": given + 0.5}
    found = {}
    for name, arrays in ways.items():
        run = repeating([arrays.numpy()])
        found[name] = compare(nn.Identity(), call_of(given), tmp_path, run, runtime="none", dynamic_batch=False)
    assert {one.largest for one in found.values()} == {8.0}
    assert {name: one.difference for name, one in found.items()} == {"same": 0.0, "other": float("inf"), "finite": 0.5}
    nothing, run = call_of(given * 0), repeating([(given * 0).numpy()])
    odd = compare(nn.Identity(), nothing, tmp_path, run, runtime="none", dynamic_batch=False)
    with pytest.raises(StoreError, match="that are nan away"):  # NaN from both proves nothing
        check_parity(odd, 1.0)


def interrupted_after(count):
    places: list[object] = []

    def settled(temporary, path):
        if len(places) == count:
            raise KeyboardInterrupt
        places.append(path)
        settle(temporary, path)

    return settled


def test_weights_of_a_large_model_lie_beside_it(onnx, tmp_path, monkeypatch):
    # What torch does above 2 GB, without the 2 GB.
    real = torch.onnx.ONNXProgram.save
    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", lambda program, file: real(program, file, external_data=True))
    small = small_net()
    export_onnx(small, tmp_path / "net.onnx", IMAGES[:2])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    assert np.allclose(run_onnx(tmp_path / "net.onnx", IMAGES.numpy())[0], small(IMAGES).detach().numpy(), atol=1e-5)
    with monkeypatch.context() as patch:
        patch.setattr(runtimes, "settle", interrupted_after(1))
        with pytest.raises(KeyboardInterrupt):
            export_onnx(small, tmp_path / "net.onnx", IMAGES[:2], overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx.data"]  # an old graph with new weights never
    export_onnx(small, tmp_path / "net.onnx", IMAGES[:2])
    monkeypatch.undo()
    export_onnx(small, tmp_path / "net.onnx", IMAGES[:2], overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
