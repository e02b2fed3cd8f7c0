"""Tiny decoders of transformers, and smaller ones made by indexing: nothing here uses the code under test."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from niwaki.core import Cut, mark_cut

transformers = pytest.importorskip("transformers", reason="it comes with the extra `models`")

WIDTH, HEADS, INNER, LAYERS, VOCAB = 32, 4, 24, 2, 40
D = WIDTH // HEADS
_SPECIAL = {"bos_token_id": 0, "eos_token_id": None, "pad_token_id": 2}
_ROPE = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "max_position_embeddings": 64, **_SPECIAL,
}  # fmt: skip

TOKENS = torch.arange(14).reshape(2, 7) % VOCAB + 3


def config_of(kind: str) -> Any:
    t: Any = transformers
    return {
        "llama": lambda: t.LlamaConfig(**_ROPE, num_key_value_heads=HEADS, attention_bias=True, mlp_bias=True),
        "llama-gqa": lambda: t.LlamaConfig(**_ROPE, num_key_value_heads=2),
        "mistral": lambda: t.MistralConfig(**_ROPE, num_key_value_heads=2),
        "qwen2": lambda: t.Qwen2Config(**_ROPE, num_key_value_heads=2, tie_word_embeddings=True),
        "qwen3": lambda: t.Qwen3Config(**_ROPE, num_key_value_heads=2, head_dim=D),
        "gemma": lambda: t.GemmaConfig(**_ROPE, num_key_value_heads=2, head_dim=D),
        "opt": lambda: t.OPTConfig(
            vocab_size=VOCAB, hidden_size=WIDTH, ffn_dim=INNER, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            max_position_embeddings=64, word_embed_proj_dim=WIDTH, dropout=0.0, **_SPECIAL,
        ),
        "gpt2": lambda: t.GPT2Config(
            vocab_size=VOCAB, n_positions=64, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS, n_inner=INNER, **_SPECIAL
        ),
        "bloom": lambda: t.BloomConfig(
            vocab_size=VOCAB, hidden_size=WIDTH, n_layer=LAYERS, n_head=HEADS, **_SPECIAL
        ),
    }[kind]()  # fmt: skip


KINDS = ("llama", "llama-gqa", "mistral", "qwen2", "qwen3", "gemma", "opt", "gpt2", "bloom")


def dense_model(kind: str) -> Any:
    model = transformers.AutoModelForCausalLM.from_config(config_of(kind)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # biases, too, and large enough that a wrong head is seen
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def inner_of(kind: str) -> int:
    return 4 * WIDTH if kind == "bloom" else INNER


def rows(units: list[int], width: int) -> torch.Tensor:
    return torch.tensor([unit * width + i for unit in units for i in range(width)])


def _gated(layer: str, heads: list[int], inner: list[int], groups: int) -> tuple[dict[str, Any], dict[str, int]]:
    shared = HEADS // groups  # queries per key head; `heads` names key heads
    q, kv, i = rows(heads, D * shared), rows(heads, D), torch.tensor(inner)
    table: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for name, index in (("self_attn.q_proj", q), ("self_attn.k_proj", kv), ("self_attn.v_proj", kv),
                        ("mlp.gate_proj", i), ("mlp.up_proj", i)):  # fmt: skip
        table |= {f"{layer}.{name}.weight": (0, index), f"{layer}.{name}.bias": (0, index)}
        sizes[f"{layer}.{name}.out_features"] = len(index)
    for name, index in (("self_attn.o_proj", q), ("mlp.down_proj", i)):
        table[f"{layer}.{name}.weight"] = (1, index)
        sizes[f"{layer}.{name}.in_features"] = len(index)
    return table, sizes


def _opt(layer: str, heads: list[int], inner: list[int]) -> tuple[dict[str, Any], dict[str, int]]:
    h, i = rows(heads, D), torch.tensor(inner)
    table: dict[str, Any] = {}
    sizes = {f"{layer}.self_attn.num_heads": len(heads)}
    for name, index in (("self_attn.q_proj", h), ("self_attn.k_proj", h), ("self_attn.v_proj", h), ("fc1", i)):
        table |= {f"{layer}.{name}.weight": (0, index), f"{layer}.{name}.bias": (0, index)}
        sizes[f"{layer}.{name}.out_features"] = len(index)
    for name, index in (("self_attn.out_proj", h), ("fc2", i)):
        table[f"{layer}.{name}.weight"] = (1, index)
        sizes[f"{layer}.{name}.in_features"] = len(index)
    return table, sizes


def _gpt2(layer: str, heads: list[int], inner: list[int]) -> tuple[dict[str, Any], dict[str, int]]:
    h, i = rows(heads, D), torch.tensor(inner)
    fused = torch.cat([h, h + WIDTH, h + 2 * WIDTH])
    table = {
        f"{layer}.attn.c_attn.weight": (1, fused), f"{layer}.attn.c_attn.bias": (0, fused),
        f"{layer}.attn.c_proj.weight": (0, h), f"{layer}.mlp.c_fc.weight": (1, i), f"{layer}.mlp.c_fc.bias": (0, i),
        f"{layer}.mlp.c_proj.weight": (0, i),
    }  # fmt: skip
    sizes = {
        f"{layer}.attn.num_heads": len(heads), f"{layer}.attn.split_size": len(h),
        f"{layer}.attn.c_attn.nf": len(fused), f"{layer}.attn.c_proj.nx": len(h),
        f"{layer}.mlp.c_fc.nf": len(i), f"{layer}.mlp.c_proj.nx": len(i),
    }  # fmt: skip
    return table, sizes


def _bloom(layer: str, heads: list[int], inner: list[int]) -> tuple[dict[str, Any], dict[str, int]]:
    h, fused, i = rows(heads, D), rows(heads, 3 * D), torch.tensor(inner)
    attention, mlp = f"{layer}.self_attention", f"{layer}.mlp"
    table = {
        f"{attention}.query_key_value.weight": (0, fused), f"{attention}.query_key_value.bias": (0, fused),
        f"{attention}.dense.weight": (1, h), f"{mlp}.dense_h_to_4h.weight": (0, i), f"{mlp}.dense_h_to_4h.bias": (0, i),
        f"{mlp}.dense_4h_to_h.weight": (1, i),
    }  # fmt: skip
    sizes = {
        f"{attention}.num_heads": len(heads), f"{attention}.query_key_value.out_features": len(fused),
        f"{attention}.dense.in_features": len(h), f"{mlp}.dense_h_to_4h.out_features": len(i),
        f"{mlp}.dense_4h_to_h.in_features": len(i),
    }  # fmt: skip
    return table, sizes


def _tables(model: Any, heads: list[list[int]], inner: list[list[int]]) -> tuple[dict[str, Any], dict[str, int]]:
    table: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    for number, (h, i) in enumerate(zip(heads, inner, strict=True)):
        match model.config.model_type:
            case "opt":
                more = _opt(f"model.decoder.layers.{number}", h, i)
            case "gpt2":
                more = _gpt2(f"transformer.h.{number}", h, i)
            case "bloom":
                more = _bloom(f"transformer.h.{number}", h, i)
            case _:
                more = _gated(f"model.layers.{number}", h, i, model.config.num_key_value_heads)
        table |= more[0]
        sizes |= more[1]
    held = dict(model.named_parameters())
    return {name: entry for name, entry in table.items() if name in held}, sizes


def small_model(dense: Any, heads: list[list[int]], inner: list[list[int]]) -> Any:
    """The units named stay, per layer; with shared key heads, ``heads`` names those."""
    small = copy.deepcopy(dense)
    table, sizes = _tables(dense, heads, inner)
    kept, shapes = {}, {}
    for name, (axis, index) in table.items():
        parameter = small.get_parameter(name)
        shapes[name] = tuple(parameter.shape)
        if len(index) < parameter.shape[axis]:
            kept[name] = {axis: index}
            owner, _, attribute = name.rpartition(".")
            setattr(small.get_submodule(owner), attribute, nn.Parameter(parameter.detach().index_select(axis, index)))
    for key, value in sizes.items():
        owner, _, attribute = key.rpartition(".")
        setattr(small.get_submodule(owner), attribute, value)
    mark_cut(small, Cut(kept, sizes, {name: shapes[name] for name in kept}))
    return small


def masked_model(dense: Any, heads: list[list[int]], inner: list[list[int]]) -> Any:
    """The dense model in which nothing reads the units that are not named: the same function, never cut."""
    masked = copy.deepcopy(dense)
    table, _ = _tables(dense, heads, inner)
    readers = ("o_proj", "out_proj", "c_proj", "down_proj", "dense.weight", "fc2", "dense_4h_to_h")
    with torch.no_grad():
        for name, (axis, index) in table.items():
            if any(reader in name for reader in readers):
                parameter = masked.get_parameter(name)
                gone = torch.ones(parameter.shape[axis], dtype=torch.bool)
                gone[index] = False
                parameter.index_fill_(axis, gone.nonzero().squeeze(1), 0)
    return masked


def equal_layers(kind):
    """Units for the mode ``uniform``: other ones in each layer, as many."""
    if kind == "bloom":
        return [[0, 1, 2, 3]] * 2, [list(range(128))] * 2
    heads = {"opt": [[0, 1, 2, 3]] * 2, "gpt2": [[0, 1, 2, 3]] * 2, "llama": [[1, 3], [0, 1]]}
    return heads.get(kind, [[1], [0]]), [list(range(3, 23, 2)), list(range(10))]


def unequal_layers(kind):
    inner = inner_of(kind)
    heads = [[1, 2], [0, 2, 3]] if kind in {"opt", "gpt2", "bloom", "llama"} else [[1], [0, 1]]
    return heads, [list(range(0, inner, 3)), list(range(5, inner - 1))]


def logits(model):
    with torch.no_grad():
        return model(TOKENS).logits
