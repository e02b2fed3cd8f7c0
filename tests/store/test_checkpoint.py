"""Checkpoints come back as they were, or not at all."""

import json
import math
import random
from collections import Counter, OrderedDict

import pytest
import safetensors.torch
import torch

from niwaki.core import StoreError
from niwaki.store import load_checkpoint, save_checkpoint


def is_same(a, b):
    """Equal in type, value, key order, dtype, shape and bits."""
    if isinstance(a, torch.Tensor):
        if not isinstance(b, torch.Tensor) or (a.dtype, a.shape) != (b.dtype, b.shape):
            return False
        as_bytes = [t.contiguous().reshape(-1).view(torch.uint8) for t in (a, b)]
        return torch.equal(*as_bytes)
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(type(x) is type(y) and is_same(a[x], b[y]) for x, y in zip(a, b, strict=True))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(is_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, float):
        return repr(a) == repr(b)
    return a == b


def everything():
    generator = torch.Generator().manual_seed(3)
    dtypes = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    floats = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
    return {
        "tensors": {
            **{str(d): torch.randint(0, 2, (3, 2), generator=generator).to(d) for d in dtypes},
            **{str(d): torch.randn(2, 3, generator=generator).to(d) for d in floats},
        },
        "scalar tensor": torch.tensor(2.5),
        "odd values": torch.tensor([math.nan, -0.0, math.inf, -math.inf, 1e-45]),
        "empty": torch.zeros(0, 4),
        "generator": generator.get_state(),
        "transposed": torch.arange(6).reshape(2, 3).t(),
        "a part": torch.arange(10)[2:5],
        0: "integer key",
        (-7): None,
        "numbers": [True, False, 1, 1.0, -0.0, 0.1, 1e308, 5e-324, math.nan, math.inf, -math.inf, 2**70],
        "tuple": ((), (1, (2.0,)), [()], {}, []),
        "text": 'quotes " and \\ and \u00e9\u6728 and \n and \ud800',
        "__metadata__": torch.ones(1),
        "": torch.ones(2),
        "a/b": torch.ones(3),
        "a": {"b": torch.ones(4)},
        "none key": {None: 1, True: 2, 2.5: 3},
    }


def test_everything_comes_back_bit_for_bit(tmp_path):
    state = everything()
    save_checkpoint(tmp_path / "deep" / "folder", state)
    assert is_same(load_checkpoint(tmp_path / "deep" / "folder"), state)


@pytest.mark.parametrize("state", [None, 3, math.nan, "text", [], {}, (), torch.arange(3)])
def test_the_state_itself_may_be_anything(tmp_path, state):
    save_checkpoint(tmp_path, state)
    assert is_same(load_checkpoint(tmp_path), state)


def test_one_tensor_in_two_places_is_stored_once_and_comes_back_as_one(tmp_path):
    big = torch.randn(1000)
    save_checkpoint(tmp_path, {"a": big, "b": [big], "view": big[1:]})
    (file,) = tmp_path.glob("tensors-*.safetensors")
    assert file.stat().st_size < 2 * 4000 + 500  # `big` and the view, not `big` twice
    loaded = load_checkpoint(tmp_path)
    assert loaded["a"] is loaded["b"][0]
    assert torch.equal(loaded["view"], big[1:])
    loaded["view"].zero_()
    assert torch.equal(loaded["a"], big)


def test_the_tensor_file_opens_with_safetensors_alone(tmp_path):
    save_checkpoint(tmp_path, {"model": {"conv.weight": torch.ones(2, 2)}, "steps": [torch.tensor(7)]})
    (file,) = tmp_path.glob("tensors-*.safetensors")
    loaded = safetensors.torch.load_file(file)
    assert {name: value.tolist() for name, value in loaded.items()} == {
        "model/conv.weight": [[1.0, 1.0], [1.0, 1.0]],
        "steps/0": 7,
    }


def test_memory_layout_survives(tmp_path):
    images = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    volumes = torch.randn(2, 3, 4, 4, 4).to(memory_format=torch.channels_last_3d)
    save_checkpoint(tmp_path, [images, volumes])
    loaded = load_checkpoint(tmp_path)
    assert [t.stride() for t in loaded] == [images.stride(), volumes.stride()]
    assert torch.equal(loaded[0], images) and torch.equal(loaded[1], volumes)


def test_subclasses_of_dict_tuple_and_parameter_become_plain(tmp_path):
    save_checkpoint(
        tmp_path,
        {
            "o": OrderedDict(b=1, a=2),
            "c": Counter([3, 3]),
            "s": torch.Size([1, 2]),
            "p": torch.nn.Parameter(torch.ones(1)),
        },
    )
    loaded = load_checkpoint(tmp_path)
    assert is_same(loaded, {"o": {"b": 1, "a": 2}, "c": {3: 2}, "s": (1, 2), "p": torch.ones(1)})


def test_a_second_save_replaces_the_first_and_cleans_up(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "tensors-mine.safetensors").write_text("mine too")
    (tmp_path / ".checkpoint.json.123.tmp").write_text("left by a kill")
    for step in range(3):
        save_checkpoint(tmp_path, {"step": step, "w": torch.full((4,), step)})
    save_checkpoint(tmp_path, {"step": 2, "w": torch.full((4,), 2)})
    assert load_checkpoint(tmp_path)["step"] == 2
    own = [p.name for p in tmp_path.iterdir() if "mine" not in p.name and p.name != "notes.txt"]
    assert sorted(name[:8] for name in own) == ["checkpoi", "tensors-"]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "tensors-mine.safetensors").exists()


def itself():
    loop: list[object] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, object()]}, r"state\['a'\]\[1\] is a object, which cannot be stored"),
        ({"a": {(1, 2): 3}}, r"state\['a'\] has the key \(1, 2\); only strings and numbers"),
        ({"a": b"bytes"}, r"state\['a'\] is a bytes, which cannot be stored"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, r"state\['a'\] is a tensor of torch.complex64; convert it"),
        ({"a": torch.zeros(2, device="meta")}, r"state\['a'\] is a torch.strided tensor on meta"),
        ({"a": torch.eye(2).to_sparse()}, r"state\['a'\] is a torch.sparse_coo tensor on cpu"),
        ({"a": itself()}, "nested more than 100 deep, or contains itself"),
    ],
)
def test_what_cannot_be_stored_is_named_and_nothing_is_written(tmp_path, state, message):
    save_checkpoint(tmp_path, {"good": 1})
    with pytest.raises(StoreError, match=message):
        save_checkpoint(tmp_path, state)
    assert load_checkpoint(tmp_path) == {"good": 1}


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"no checkpoint in .*nowhere: checkpoint.json is missing; check the folder"):
        load_checkpoint(tmp_path / "nowhere")
    header = tmp_path / "checkpoint.json"
    for text, message in [
        ("{", r"checkpoint.json is damaged or was edited: it is not JSON"),
        ("[1]", r"is no niwaki checkpoint \(its format is 'list'\)"),
        ('{"format": "other"}', r"is no niwaki checkpoint \(its format is 'other'\); check the folder"),
        (
            '{"format": "niwaki-checkpoint", "version": 2}',
            "has format version 2, this niwaki reads 1; load it with the",
        ),
        ('{"format": "niwaki-checkpoint", "version": 1}', "its checksum does not match its contents"),
        ("[" * 100_000, "is damaged"),
        ('{"format": "niwaki-checkpoint", "version": 1, "a": 1e999}', "is damaged"),
    ]:
        header.write_text(text)
        with pytest.raises(StoreError, match=message):
            load_checkpoint(tmp_path)


def test_edited_and_truncated_files_are_named(tmp_path):
    save_checkpoint(tmp_path, {"step": 41, "w": torch.randn(100)}, kind="training")
    (tensors,) = tmp_path.glob("tensors-*")
    header, data, text = tmp_path / "checkpoint.json", tensors.read_bytes(), (tmp_path / "checkpoint.json").read_text()
    with pytest.raises(StoreError, match="holds a checkpoint of kind 'training', not 'plan'"):
        load_checkpoint(tmp_path, kind="plan")
    header.write_text(text.replace("41", "42"))
    with pytest.raises(StoreError, match="checkpoint.json is damaged or was edited: its checksum does not match"):
        load_checkpoint(tmp_path)
    header.write_text(text)
    tensors.write_bytes(data[:-10])
    with pytest.raises(StoreError, match=rf"{tensors.name} is damaged or was edited: it has {len(data) - 10} bytes"):
        load_checkpoint(tmp_path)
    tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(StoreError, match=rf"{tensors.name} is damaged .* does not match the one in checkpoint.json"):
        load_checkpoint(tmp_path)
    tensors.unlink()
    with pytest.raises(StoreError, match=rf"{tensors.name} is missing"):
        load_checkpoint(tmp_path)
    tensors.write_bytes(data)
    assert load_checkpoint(tmp_path)["step"] == 41


def test_a_header_with_a_valid_checksum_cannot_lead_out_of_the_folder_of_knowledge(tmp_path):
    # A structure from some later version, correctly signed: refused, not guessed.
    import hashlib

    save_checkpoint(tmp_path, {"step": 1})
    header = json.loads((tmp_path / "checkpoint.json").read_text())
    header["structure"] = {"set": [1, 2]}
    body = {key: value for key, value in header.items() if key != "checksum"}
    header["checksum"] = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    (tmp_path / "checkpoint.json").write_text(json.dumps(header))
    with pytest.raises(StoreError, match="which this version does not know; update niwaki"):
        load_checkpoint(tmp_path)


def _mutate(data, dice):
    kind = dice.randrange(4)
    at = dice.randrange(len(data))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
    if kind == 2:
        return data[:at] + bytes([dice.randrange(256)]) + data[at:]
    return data[:at] + data[at + dice.randrange(1, 30) :]


@pytest.mark.parametrize("which", ["checkpoint.json", "tensors-*"])
def test_random_damage_is_an_error_or_harmless(tmp_path, which):
    state = everything()
    save_checkpoint(tmp_path, state)
    (file,) = tmp_path.glob(which)
    data, dice, errors = file.read_bytes(), random.Random(5), 0
    for _ in range(400):
        file.write_bytes(_mutate(data, dice))
        try:
            assert is_same(load_checkpoint(tmp_path), state)
        except StoreError:
            errors += 1
    assert errors > 380  # a flipped letter case in an escape is harmless, hardly anything else
    file.write_bytes(data)
    assert is_same(load_checkpoint(tmp_path), state)
