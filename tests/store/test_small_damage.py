"""A thousand damaged files: an error that says so, nothing unpickled, nothing half-loaded."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import random
import struct
from typing import Any

import pytest
import safetensors.torch
import torch

from niwaki.core import StoreError
from niwaki.store import load, save
from tests.store.cut_models import Net, bits, small_net, snapshot

ODD = [None, True, -1, 0, 1, 2**31, 2**70, 1.5, "", "a", "0-5", "float32[2]", [], [1], {}, {"0": 0}, {"tensor": "x"}]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    small, dense = small_net(), Net()
    save(small, tmp_path)

    def unpickled(*args, **kwargs):
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, unpickled)
    monkeypatch.setattr(torch, "load", unpickled)
    return tmp_path, bits(small), dense, snapshot(dense)


def outcome(stored) -> str:
    """Loads: the error, or that the model is the stored one to the last bit."""
    folder, wanted, dense, before = stored
    try:
        loaded = load(dense, folder)
    except StoreError as error:
        return str(error)
    finally:
        assert snapshot(dense) == before
    assert bits(loaded) == wanted
    return "loaded"


def damaged(data: bytes, dice: random.Random, other: bytes) -> bytes:
    at, to = dice.randrange(len(data)), dice.randrange(len(data))
    match dice.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
        case 2:
            return data[:at] + dice.randbytes(dice.randrange(1, 9)) + data[at:]
        case 3:
            return data[: min(at, to)] + data[max(at, to) + 1 :]
        case 4:
            start = dice.randrange(len(other))
            piece = other[start : start + dice.randrange(1, 200)]
            return data[:at] + piece + data[at + len(piece) :]
    return data + data[at:] + b"\x00"


@pytest.mark.parametrize("which", ["plan.json", "model.safetensors"])
def test_bytes_flipped_cut_and_spliced(stored, which):
    file = stored[0] / which
    other = (stored[0] / {"plan.json": "model.safetensors"}.get(which, "plan.json")).read_bytes()
    data, dice, errors = file.read_bytes(), random.Random(5), 0
    for _ in range(400):
        file.write_bytes(damaged(data, dice, other))
        message = outcome(stored)
        errors += message != "loaded"
        assert message == "loaded" or which in message
    assert errors >= 395  # a change inside of an escape may say the same
    file.write_bytes(data)
    assert outcome(stored) == "loaded"


def signed_anew(contents: dict[str, Any]) -> bytes:
    # As a careful forger would: this is what `docs` say a checksum is.
    body = {key: value for key, value in contents.items() if key != "checksum"}
    return json.dumps({**body, "checksum": hashlib.sha256(json.dumps(body).encode()).hexdigest()}).encode()


def places(node, path=()):
    if path:
        yield path
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(child, (*path, key))


def changed(contents: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    contents = copy.deepcopy(contents)
    *above, last = dice.choice([path for path in places(contents) if path != ("checksum",)])
    node = contents
    for key in above:
        node = node[key]
    match dice.randrange(3 if isinstance(node, dict) else 2):
        case 0:
            node[last] = dice.choice(ODD)
        case 1:
            del node[last]
        case 2:
            node[dice.choice(["", "gone.weight", "9", "first.out_channels", "__class__.x"])] = node.pop(last)
    return contents


def test_fields_replaced_and_signed_anew(stored):
    file = stored[0] / "plan.json"
    contents, dice, errors = json.loads(file.read_bytes()), random.Random(6), []
    for _ in range(600):
        file.write_bytes(signed_anew(changed(contents, dice)))
        errors.append(outcome(stored))
    # The versions are for people; whatever else is changed, is noticed.
    assert sum(message != "loaded" for message in errors) > 540
    assert len(set(errors)) > 100
    file.write_bytes(signed_anew(contents))
    assert outcome(stored) == "loaded"


def test_sizes_of_a_forger_do_not_reach_a_model_unseen(stored):
    file = stored[0] / "plan.json"
    contents = json.loads(file.read_bytes())
    for key, value in [
        ("norm.eps", 3), ("forward", 3), ("training", 0), ("first.stride", 2), ("first.kernel_size", [3, 3, 3]),
        ("nothing.at_all", 3), ("absent", 3),
    ]:  # fmt: skip
        sizes = {**contents["cut"]["sizes"], key: value}
        file.write_bytes(signed_anew({**contents, "cut": {**contents["cut"], "sizes": sizes}}))
        assert "plan.json" in outcome(stored), key


def with_header(data: bytes, header: object) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def test_the_header_of_the_tensors_edited_and_signed_anew(stored):
    plan, file = stored[0] / "plan.json", stored[0] / "model.safetensors"
    contents, data, dice = json.loads(plan.read_bytes()), file.read_bytes(), random.Random(7)
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    for round_ in range(300):
        new = with_header(data, changed(header, dice))
        if round_ % 10 == 0:
            new = struct.pack("<Q", dice.choice([0, 1, 2**40, 2**63])) + data[8:]
        file.write_bytes(new)
        if round_ % 2:
            about = {"sha256": hashlib.sha256(new).hexdigest(), "bytes": len(new)}
            plan.write_bytes(signed_anew({**contents, "tensors": about}))
        assert outcome(stored) != "loaded"
        plan.write_bytes(signed_anew(contents))
    file.write_bytes(data)
    assert outcome(stored) == "loaded"


def test_tensors_that_do_not_fit_are_named(stored):
    plan, file = stored[0] / "plan.json", stored[0] / "model.safetensors"
    contents, tensors = json.loads(plan.read_bytes()), safetensors.torch.load_file(file)
    wrong = {
        r"torch.float32 \[4\] there, the model needs torch.float32 \[3\]": torch.zeros(4),
        r"torch.float16 \[3\] there, the model needs torch.float32 \[3\]": torch.zeros(3).half(),
    }
    for message, tensor in wrong.items():
        safetensors.torch.save_file({**tensors, "first.bias": tensor}, file)
        data = file.read_bytes()
        about = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        plan.write_bytes(signed_anew({**contents, "tensors": about}))
        with pytest.raises(StoreError, match=r"do not fit the model, 1 of 15 differ: 'first.bias' is " + message):
            load(stored[2], stored[0])
    del contents["structure"]["dict"]["first.bias"]
    contents["structure"]["dict"]["more"] = 3
    plan.write_bytes(signed_anew({**contents, "tensors": about}))
    with pytest.raises(
        StoreError, match=r"'first.bias' is absent there, .*'more' is int there, the model needs nothing"
    ):
        load(stored[2], stored[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "plan.json is damaged or was edited: it is not JSON"),
        ("[1]", r"is no niwaki saved model \(its format is 'list'\); check the folder"),
        ('{"format": "niwaki-checkpoint"}', r"is no niwaki saved model \(its format is 'niwaki-checkpoint'\)"),
        ('{"format": "niwaki-small-model", "version": 2}', "has format version 2, this niwaki reads 1; load it"),
        ('{"format": "niwaki-small-model", "version": 1}', "its checksum does not match its contents; take"),
        (None, "no saved model in .*: plan.json is missing; check the folder, or save the model again"),
    ],
)  # fmt: skip
def test_foreign_and_missing_plans_are_named(stored, text, message):
    file = stored[0] / "plan.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(StoreError, match=message):
        load(stored[2], stored[0])


def test_missing_and_truncated_tensors_are_named(stored):
    file = stored[0] / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-3])
    with pytest.raises(
        StoreError, match=rf"model.safetensors is damaged or was edited: it has {len(data) - 3:,} bytes"
    ):
        load(stored[2], stored[0])
    file.unlink()
    with pytest.raises(StoreError, match="no saved model in .*: model.safetensors is missing; check the folder"):
        load(stored[2], stored[0])
