"""Decoders of transformers come back by `from_pretrained` in three modes, or it is said why not."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import StoreError
from niwaki.store import load_pretrained, save_pretrained
from tests.house.source import ROOT
from tests.store.decoder_models import (
    KINDS,
    TOKENS,
    dense_model,
    equal_layers,
    inner_of,
    logits,
    masked_model,
    small_model,
    transformers,
    unequal_layers,
)

# The last two have the layers of LLaMA.
EVERY = pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k in {"qwen3", "gemma"} else k for k in KINDS]
)


@pytest.fixture(autouse=True)
def _silent():
    transformers.utils.logging.disable_progress_bar()
    yield
    transformers.utils.logging.enable_progress_bar()


def generated(model):
    return model.generate(TOKENS, max_new_tokens=9, do_sample=False, use_cache=True)


def uncached(model):
    """Nine tokens one by one, the whole sequence each time."""
    tokens = TOKENS
    for _ in range(9):
        with torch.no_grad():
            tokens = torch.cat([tokens, model(tokens, use_cache=False).logits[:, -1:].argmax(-1)], 1)
    return tokens


@EVERY
def test_uniform(tmp_path, kind):
    dense = dense_model(kind)
    small = small_model(dense, *equal_layers(kind))
    assert torch.allclose(logits(small), logits(masked_model(dense, *equal_layers(kind))), atol=1e-5)
    (tmp_path / ".writing.4711.tmp").mkdir()  # left by a killed process
    save_pretrained(small, tmp_path, overwrite=True)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    for loaded in (type(dense).from_pretrained(tmp_path), load_pretrained(tmp_path)):
        assert type(loaded) is type(dense)
        assert torch.equal(logits(loaded), logits(small))
        assert torch.equal(generated(loaded), uncached(small))
        assert sum(p.numel() for p in loaded.parameters()) == sum(p.numel() for p in small.parameters())


@EVERY
def test_padded(tmp_path, kind):
    dense = dense_model(kind)
    units = unequal_layers(kind)
    wanted = logits(masked_model(dense, *units))
    save_pretrained(small_model(dense, *units), tmp_path, mode="padded")
    loaded = type(dense).from_pretrained(tmp_path)
    assert type(loaded) is type(dense)
    assert torch.allclose(logits(loaded), wanted, atol=1e-5)
    assert torch.equal(generated(loaded), uncached(masked_model(dense, *units)))
    before, after = (sum(p.numel() for p in m.parameters()) for m in (dense, loaded))
    assert after == before if kind == "bloom" else after < before


@EVERY
def test_heterogeneous(tmp_path, kind):
    dense = dense_model(kind)
    units = unequal_layers(kind)
    small, wanted = small_model(dense, *units), logits(masked_model(dense, *units))
    save_pretrained(small, tmp_path, mode="heterogeneous")
    loaded = load_pretrained(tmp_path)
    assert isinstance(loaded, type(dense))
    assert torch.allclose(logits(loaded), wanted, atol=1e-5)
    if kind != "bloom":  # whose stock class cannot run without some heads
        assert torch.equal(logits(loaded), logits(small))
    mask = torch.ones_like(TOKENS)
    mask[0, :3] = 0
    with torch.no_grad():
        one, other = (m(TOKENS, attention_mask=mask).logits[:, 3:] for m in (loaded, masked_model(dense, *units)))
    assert torch.allclose(one, other, atol=1e-5)
    assert torch.equal(generated(loaded), uncached(masked_model(dense, *units)))
    assert {n: tuple(p.shape) for n, p in loaded.named_parameters()} == {
        n: tuple(p.shape) for n, p in small.named_parameters()
    }
    loaded.save_pretrained(tmp_path / "again")  # as a trainer does
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(again), logits(loaded))
    save_pretrained(loaded, tmp_path / "ours", mode="padded")
    assert torch.allclose(logits(load_pretrained(tmp_path / "ours")), wanted, atol=1e-5)


FRESH = """
    import sys
    import torch, transformers
    from niwaki.store import register_pretrained
    register_pretrained("llama")
    model = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1])
    tokens = torch.load(sys.argv[2])
    with torch.no_grad():
        torch.save([model(tokens).logits, model.generate(tokens, max_new_tokens=9, do_sample=False)], sys.argv[3])
"""


def test_a_fresh_process_computes_the_same_bits(tmp_path):
    small = small_model(dense_model("llama-gqa"), *unequal_layers("llama-gqa"))
    save_pretrained(small, tmp_path / "model", mode="heterogeneous")
    torch.save(TOKENS, tmp_path / "in.pt")
    files = [str(tmp_path / name) for name in ("model", "in.pt", "out.pt")]
    subprocess.run([sys.executable, "-c", textwrap.dedent(FRESH), *files], check=True, timeout=200, cwd=ROOT)
    found, tokens = torch.load(files[2])
    assert torch.equal(found, logits(small))
    assert torch.equal(tokens, uncached(small))


@pytest.mark.parametrize("kind", ["qwen2", "gpt2", "bloom"])
def test_channels_that_shrink_cut(tmp_path, kind):
    dense, inputs = dense_model(kind), {"input_ids": TOKENS, "use_cache": False}
    groups = nw.channels(dense, inputs)
    small = nw.shrink(dense, groups, {group.name: torch.arange(group.size) % 4 > 0 for group in groups})
    save_pretrained(small, tmp_path, mode="heterogeneous")
    loaded = load_pretrained(tmp_path)
    assert torch.equal(logits(loaded), logits(small))
    assert torch.equal(generated(loaded), uncached(small))
    if kind == "bloom":  # whose heads have lost channels, too
        with pytest.raises(
            StoreError, match=r"mode='padded' describes differs in .*query_key_value.*is \[72, 32\] here"
        ):
            save_pretrained(small, tmp_path / "padded", mode="padded")


def test_query_heads_may_go_from_every_share(tmp_path):
    # The last query head of each of two shares goes: two of four stay, both key heads stay.
    dense = dense_model("llama-gqa")
    small = small_model(dense, [[0, 1], [0, 1]], [list(range(24))] * 2)
    attention = small.model.layers[0].self_attn
    index = torch.cat([torch.arange(8), torch.arange(16, 24)])
    attention.q_proj.weight = nn.Parameter(attention.q_proj.weight.detach()[index])
    attention.o_proj.weight = nn.Parameter(attention.o_proj.weight.detach()[:, index])
    attention.num_key_value_groups = 1
    save_pretrained(small, tmp_path, mode="padded")
    loaded = load_pretrained(tmp_path)
    assert loaded.config.num_attention_heads == 4
    assert torch.allclose(logits(loaded), logits(small), atol=1e-5)


def test_a_number_of_heads_that_the_class_refuses_is_padded_on(tmp_path):
    small = small_model(dense_model("llama"), [[0, 1, 3], [1, 2, 3]], [list(range(10))] * 2)
    with pytest.raises(StoreError, match=r"refuses .*'head': 3.*not a multiple of the number of attention heads \(3\)"):
        save_pretrained(small, tmp_path)
    assert list(tmp_path.iterdir()) == []
    save_pretrained(small, tmp_path, mode="padded", multiple_of=8)
    loaded = load_pretrained(tmp_path)
    assert (loaded.config.num_attention_heads, loaded.config.head_dim, loaded.config.intermediate_size) == (4, 8, 16)
    assert torch.allclose(logits(loaded), logits(small), atol=1e-5)


@pytest.mark.parametrize("kind", ["opt", "gpt2", "bloom"])
def test_what_a_family_cannot_say_has_its_reason(tmp_path, kind):
    everything = [list(range(inner_of(kind)))] * 2
    fewer_heads = small_model(dense_model(kind), [[1, 2]] * 2, everything)
    with pytest.raises(StoreError, match=r"2 of 4 units of kind 'head' stay, .* cannot say: .* hidden size.*padded"):
        save_pretrained(fewer_heads, tmp_path)
    if kind == "bloom":
        narrow = small_model(dense_model(kind), [[0, 1, 2, 3]] * 2, [list(range(100))] * 2)
        with pytest.raises(StoreError, match=r"100 of 128 units of kind 'inner' .* BLOOM makes its MLP four times"):
            save_pretrained(narrow, tmp_path)


@pytest.mark.parametrize("kind", ["llama-gqa", "opt", "bloom"])
def test_unequal_layers_are_named(tmp_path, kind):
    small = small_model(dense_model(kind), *unequal_layers(kind))
    with pytest.raises(
        StoreError, match=r"layers.0 keeps \{.*\} and .*layers.1 keeps|h.0 keeps \{.*\} and .*h.1 keeps"
    ):
        save_pretrained(small, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_half_precision_stays(tmp_path):
    dense = dense_model("qwen2")
    small = small_model(dense, *unequal_layers("qwen2")).to(torch.bfloat16)
    small.model.rotary_emb = dense.model.rotary_emb  # of which transformers keeps the angles in float32
    save_pretrained(small, tmp_path / "uneven", mode="heterogeneous")
    loaded = load_pretrained(tmp_path / "uneven")
    assert loaded.dtype == torch.bfloat16 and torch.equal(logits(loaded), logits(small))
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight
    save_pretrained(small, tmp_path / "padded", mode="padded")
    assert load_pretrained(tmp_path / "padded").dtype == torch.bfloat16
