"""What goes wrong with folders of transformers is said, and leaves nothing behind."""

from __future__ import annotations

import json
import sys

import pytest
from safetensors import SafetensorError
from torch import nn

from niwaki.core import StoreError
from niwaki.store import load_pretrained, register_pretrained, save_pretrained
from tests.store.decoder_models import dense_model, equal_layers, small_model, transformers, unequal_layers


def test_folders_with_something_in_them(tmp_path):
    (tmp_path / "tokenizer.json").write_text("mine")
    (tmp_path / "model-00001-of-00002.safetensors").write_text("an old one in two parts")
    small = small_model(dense_model("mistral"), *equal_layers("mistral"))
    with pytest.raises(StoreError, match="is not empty; choose another one, or say overwrite=True"):
        save_pretrained(small, tmp_path)
    save_pretrained(small, tmp_path, overwrite=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"]


def test_damaged_folders_are_errors(tmp_path):
    small = small_model(dense_model("llama-gqa"), *unequal_layers("llama-gqa"))
    save_pretrained(small, tmp_path, mode="heterogeneous")
    file, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    text, data = file.read_text(), weights.read_bytes()
    config = json.loads(text)
    config["niwaki_cut"]["positions"][0] = "0-99999"
    for damaged, message in [
        ("{", r"config.json describes no model of transformers \(JSONDecodeError"),
        ('{"architectures": ["Nothing"]}', r"describes no model of transformers \(AttributeError.*Nothing"),
        (json.dumps(config), r"LlamaForCausalLM cannot be loaded from .*do not ascend within"),
    ]:
        file.write_text(damaged)
        with pytest.raises(StoreError, match=message):
            load_pretrained(tmp_path)
    file.write_text(text)
    weights.write_bytes(data[:-100])
    with pytest.raises(StoreError, match="LlamaForCausalLM cannot be loaded from .*; take another copy"):
        load_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(StoreError, match="LlamaForCausalLM cannot be loaded from"):
        load_pretrained(tmp_path)
    file.unlink()
    with pytest.raises(StoreError, match="no model in .*: config.json is missing"):
        load_pretrained(tmp_path)


def test_models_of_others_are_named(tmp_path):
    with pytest.raises(StoreError, match="Linear is no model of transformers; use `save`"):
        save_pretrained(nn.Linear(2, 2), tmp_path)
    t = transformers
    bert = t.BertModel(t.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8))
    with pytest.raises(StoreError, match=r"models of type 'bert' .* only for llama, .*; use mode=\"heterogeneous\""):
        save_pretrained(bert, tmp_path)
    with pytest.raises(StoreError, match="mode='even' is not known; modes are 'uniform', 'padded' and 'heterogeneous'"):
        save_pretrained(bert, tmp_path, mode="even")
    save_pretrained(bert, tmp_path, mode="heterogeneous")
    assert type(load_pretrained(tmp_path)).__name__ == "UnevenBertModel"


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    small = small_model(dense_model("opt"), *equal_layers("opt"))

    def full(*args, **kwargs):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(type(small), "save_pretrained", full)
    with pytest.raises(
        StoreError, match=r"cannot write .*No space left on device \(os error 28\) \([\d,]+ bytes needed"
    ):
        save_pretrained(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_old_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["transformers"], "__version__", "4.57.1")
    with pytest.raises(StoreError, match="transformers 4.57.1 is too old for this, it needs 5 or later"):
        load_pretrained(tmp_path)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    for call in (
        lambda: save_pretrained(nn.Linear(2, 2), tmp_path),
        lambda: load_pretrained(tmp_path),
        register_pretrained,
    ):
        with pytest.raises(
            StoreError, match=r"transformers is needed here and not installed: pip install 'niwaki\[models\]'"
        ):
            call()
