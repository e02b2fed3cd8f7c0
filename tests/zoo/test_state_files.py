"""State-space models whose layers keep unequal numbers of states, in files: ours, and those of other runtimes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

import niwaki as nw
from niwaki.zoo import s4d, s5

ROOT = Path(__file__).parents[2]
WHY = "it comes with the extra `export`"
NETS = {"s4d": s4d, "s5": s5}
SIZES = (22, 34)  # 11 and 17 are stored, and no other axis has one of these lengths


def _dense(kind: str, **switches):
    return NETS[kind](width=6, states=SIZES, layers=2, generator=torch.Generator().manual_seed(0), **switches).eval()


def _smaller(model):
    with torch.no_grad():
        model.blocks[1].ssm.C[:, 4:] *= 1e-4  # so that the layers keep unequal shares
    small = nw.shrink(model, nw.states(model), nw.last(model, density=0.5))
    assert [block.ssm.states for block in small.blocks] == [10, 4]
    return small


def _sequences(time: int, count: int = 3):
    return torch.randn(count, time, 1, generator=torch.Generator().manual_seed(1))


FRESH = """
    import sys, torch
    import niwaki as nw
    from niwaki import zoo
    kind, folder, inputs, outputs = sys.argv[1:]
    # Another start of the dense model: all values must come from the folder.
    dense = getattr(zoo, kind)(width=6, states=(22, 34), layers=2, generator=torch.Generator().manual_seed(7))
    torch.save(nw.load(dense.eval(), folder)(torch.load(inputs)), outputs)
"""


@pytest.mark.parametrize("kind", NETS)
def test_a_fresh_process_computes_the_same_bits(kind, tmp_path):
    small, x = _smaller(_dense(kind)), _sequences(40)
    nw.save(small, tmp_path / "small")
    torch.save(x, tmp_path / "x.pt")
    arguments = [kind, *(str(tmp_path / name) for name in ("small", "x.pt", "y.pt"))]
    subprocess.run([sys.executable, "-c", textwrap.dedent(FRESH), *arguments], check=True, timeout=120, cwd=ROOT)
    with torch.no_grad():
        assert torch.equal(torch.load(tmp_path / "y.pt"), small(x))


@pytest.mark.parametrize("kind", NETS)
def test_onnx_computes_what_the_smaller_model_computes_with_smaller_tensors(kind, tmp_path):
    onnx, onnxruntime = (pytest.importorskip(name, reason=WHY) for name in ("onnx", "onnxruntime"))
    pytest.importorskip("onnxscript", reason=WHY)
    small, x = _smaller(_dense(kind)), _sequences(6, count=4)
    parity = nw.export_onnx(small, tmp_path / "small.onnx", x[:1])
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 3, 4):
        (found,) = session.run(None, {session.get_inputs()[0].name: x[:count].numpy()})
        np.testing.assert_allclose(found, small(x[:count]).detach().numpy(), atol=1e-4)
    assert parity.difference < 1e-4
    lengths = {length for tensor in onnx.load(tmp_path / "small.onnx").graph.initializer for length in tensor.dims}
    assert {10, 4} <= lengths and not {11, 17} & lengths


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETS)
def test_openvino_computes_what_the_smaller_model_computes(kind, tmp_path):
    openvino = pytest.importorskip("openvino", reason=WHY)
    small, x = _smaller(_dense(kind)), _sequences(6, count=4)
    nw.export_openvino(small, tmp_path / "folder", x[:1])
    compiled = openvino.compile_model(tmp_path / "folder" / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 4):
        np.testing.assert_allclose(compiled([x[:count].numpy()])[0], small(x[:count]).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("switches", [{"bidirectional": True, "norm": "batch"}, {"discretisation": "bilinear"}])
def test_a_program_of_s5_has_no_complex_numbers(switches, tmp_path):
    small, x = _smaller(_dense("s5", **switches)), _sequences(6)
    nw.save_program(small, tmp_path / "s5.pt2", x)
    program = torch.export.load(tmp_path / "s5.pt2")
    values = [node.meta.get("val") for node in program.graph.nodes]
    assert not any(isinstance(value, torch.Tensor) and value.is_complex() for value in values)
    torch.testing.assert_close(program.module()(x), small(x), rtol=1e-5, atol=1e-5)
