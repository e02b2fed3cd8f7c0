"""A compact file holds no zeros, and gives back every bit."""

import json
import math
import zlib

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from niwaki.core import StoreError
from niwaki.store import load, save
from niwaki.store.zeros import with_zeros, without_zeros
from tests.store.cut_models import Net, bits, small_net

KINDS = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool)


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def sparse_net(density: float = 0.05) -> Net:
    torch.manual_seed(0)
    net = Net(width=40, inner=50)
    with torch.no_grad():
        for weight in (net.second.weight, net.into.weight):
            weight.mul_(torch.rand_like(weight) < density).add_(0.0)  # removed weights are zero, not minus zero
    return net.eval()


@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 7), max_size=4),
    st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]),
    st.integers(0, 1000),
)
def test_every_bit_comes_back(kind, shape, density, seed):
    draw = torch.Generator().manual_seed(seed)
    tensor = torch.randn(shape, generator=draw) * (torch.rand(shape, generator=draw) < density) * 3
    tensor = tensor.to(kind)
    stored, shapes = without_zeros({"w": tensor, "other": torch.ones(3)})
    assert sum(part.nbytes for part in stored.values()) <= tensor.nbytes + 12
    again = with_zeros(stored, json.loads(json.dumps(shapes)))
    assert set(again) == {"w", "other"}
    assert again["w"].dtype == kind and again["w"].shape == tensor.shape and raw(again["w"]) == raw(tensor)


def test_minus_zero_and_what_is_no_number_are_values():
    tensor = torch.zeros(2000)
    tensor[[3, 700, 1999]] = torch.tensor([-0.0, math.nan, -math.inf])
    stored, shapes = without_zeros({"w": tensor})
    assert stored["w@values"].numel() == 3
    assert raw(with_zeros(stored, shapes)["w"]) == raw(tensor)


def test_the_file_reads_as_documented(tmp_path):
    net = sparse_net()
    save(net, tmp_path, compact=True)
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    shapes = json.loads((tmp_path / "plan.json").read_text())["without_zeros"]
    assert shapes["second.weight"] == [50, 40, 1, 1] and shapes["into.weight"] == [50, 50]
    for name, shape in shapes.items():
        there = zlib.decompress(stored[f"{name}@there"].numpy().tobytes())
        values, rebuilt = iter(stored[f"{name}@values"].tolist()), []
        for i in range(math.prod(shape)):
            rebuilt.append(next(values) if there[i // 8] >> (i % 8) & 1 else 0.0)
        assert next(values, None) is None
        np.testing.assert_array_equal(np.array(rebuilt, np.float32), net.state_dict()[name].reshape(-1))
    assert "first.weight" in stored  # has no zeros, and stays as it is


def test_twenty_times_fewer_weights_take_a_tenth_of_the_room(tmp_path):
    net = nn.Linear(300, 300, bias=False)
    with torch.no_grad():
        net.weight.masked_fill_(torch.rand(300, 300) >= 0.05, 0)
    save(net, tmp_path / "plain")
    save(net, tmp_path / "compact", compact=True)
    plain, compact = ((tmp_path / name / "model.safetensors").stat().st_size for name in ("plain", "compact"))
    # 5 % of the values, and places at no less than their entropy of 0.286 bits each.
    least = 0.05 + 0.286 / 32
    assert least * 0.95 < compact / plain < 0.07


def test_a_compact_model_is_the_model(tmp_path):
    net = sparse_net().to(memory_format=torch.channels_last)
    save(net, tmp_path, compact=True)
    loaded = load(Net(width=40, inner=50).eval(), tmp_path)
    assert bits(loaded) == bits(net)
    assert loaded.back.weight is loaded.into.weight
    assert loaded.first.weight.stride() == net.first.weight.stride()
    with torch.device("meta"):
        empty = Net(width=40, inner=50)
    assert bits(load(empty, tmp_path)) == bits(net)


def test_a_smaller_model_with_zeros_is_both(tmp_path):
    small = small_net()
    with torch.no_grad():
        small.first.weight.mul_(torch.zeros_like(small.first.weight)).add_(0.0)
    save(small, tmp_path, compact=True)
    assert "first.weight" in json.loads((tmp_path / "plan.json").read_text())["without_zeros"]
    assert bits(load(Net(), tmp_path)) == bits(small)


def test_a_name_that_is_taken_leaves_its_tensor_whole():
    tensors = {"w": torch.zeros(1000), "w@there": torch.ones(1)}
    stored, shapes = without_zeros(tensors)
    assert shapes == {} and stored == tensors


def parts() -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    stored, shapes = without_zeros({"w": torch.eye(40)})
    return stored, dict(shapes)


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("w@there", None, "are not all there"),
        ("w@values", None, "are not all there"),
        ("w@values", torch.ones(39), r"'w' has 40 places for 39 values"),
        ("w@values", torch.ones(40, 1), r"places for 40 values"),
        ("w@there", torch.zeros(9, dtype=torch.uint8), "cannot be read"),
        ("shape", [40, 41], r"not those of a tensor of shape \[40, 41\]"),
        ("shape", [40, -40], "are not all there"),
        ("shape", [2**61, 2**61], "not those of a tensor"),
        ("shape", "40", "are not all there"),
        ("shape", None, "are not all there"),
    ],
)
def test_parts_that_do_not_fit_are_refused(name, part, message):
    stored, shapes = parts()
    if name == "shape":
        shapes["w"] = part
    elif part is None:
        del stored[name]
    else:
        stored[name] = part
    with pytest.raises(StoreError, match=message):
        with_zeros(stored, shapes)


def test_a_bomb_is_not_unpacked():
    stored, shapes = parts()
    stored["w@there"] = torch.frombuffer(bytearray(zlib.compress(bytes(50_000_000))), dtype=torch.uint8)
    with pytest.raises(StoreError, match="not those of a tensor of shape"):
        with_zeros(stored, shapes)


def test_a_plan_edited_and_signed_again_loads_nothing_else(tmp_path):
    from niwaki.store.signed import signed
    from niwaki.store.small import _FORMAT

    net = sparse_net()
    save(net, tmp_path, compact=True)
    plan = json.loads((tmp_path / "plan.json").read_text())
    shapes = plan["without_zeros"]
    wrongs: list[object] = [[], 3, {"into.weight": [50, 50]}, {**shapes, "head.weight": [4, 50]}, {"x": [1]}]
    for wrong in wrongs:
        edited = {key: value for key, value in plan.items() if key not in {"format", "version", "checksum"}}
        (tmp_path / "plan.json").write_bytes(signed(_FORMAT, {**edited, "without_zeros": wrong}))
        with pytest.raises(StoreError, match="model.safetensors is damaged|does not fit|which this version"):
            load(Net(width=40, inner=50), tmp_path)
