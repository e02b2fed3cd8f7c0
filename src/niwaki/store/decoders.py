"""Decoders of transformers: where heads and inner channels lie, which sizes a configuration can say, zero padding.

Heads are ``head`` (queries) and ``kv`` (keys and values, where several queries share them), inner channels of the MLP
are ``inner``. One row per family; what cannot be said by its configuration has the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import StoreError

Sizes = dict[str, int]


@dataclass(frozen=True)
class Place:
    """An axis along which the units of a kind lie: ``blocks`` times all units, each ``times`` the width of one."""

    tensor: str
    axis: int
    kind: str
    blocks: int = 1
    times: int = 1


@dataclass(frozen=True)
class Family:
    """Layers of one make. ``fields`` names the configuration's number per kind, ``fixed`` says why there is none."""

    layers: str
    attention: str
    places: tuple[Place, ...]
    fields: Mapping[str, str]
    fixed: Mapping[str, str] = field(default_factory=dict)
    heads_keep_their_place: bool = False


def _linear(kind: str, into: str, out: str) -> tuple[Place, ...]:
    """Rows with their biases of some layers, columns of others."""
    rows = [Place(f"{name}.{what}", 0, kind) for name in into.split() for what in ("weight", "bias")]
    return (*rows, *(Place(f"{name}.weight", 1, kind) for name in out.split()))


_GATED = Family(
    "layers",
    "self_attn",
    (
        *_linear("head", "self_attn.q_proj", "self_attn.o_proj"),
        *_linear("kv", "self_attn.k_proj self_attn.v_proj", ""),
        *_linear("inner", "mlp.gate_proj mlp.up_proj", "mlp.down_proj"),
    ),
    {"inner": "intermediate_size", "head": "num_attention_heads", "kv": "num_key_value_heads"},
)
FAMILIES = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma"), _GATED),
    "opt": Family(
        "decoder.layers",
        "self_attn",
        (
            *_linear("head", "self_attn.q_proj self_attn.k_proj self_attn.v_proj", "self_attn.out_proj"),
            *_linear("inner", "fc1", "fc2"),
        ),
        {"inner": "ffn_dim"},
        {"head": "OPT makes its projections as wide as the hidden size, whatever the number of heads"},
    ),
    "gpt2": Family(
        "h",
        "attn",
        (
            Place("attn.c_attn.weight", 1, "head", blocks=3),
            Place("attn.c_attn.bias", 0, "head", blocks=3),
            Place("attn.c_proj.weight", 0, "head"),
            Place("mlp.c_fc.weight", 1, "inner"),
            Place("mlp.c_fc.bias", 0, "inner"),
            Place("mlp.c_proj.weight", 0, "inner"),
        ),
        {"inner": "n_inner"},
        {"head": "GPT-2 makes its projections as wide as the hidden size, whatever the number of heads"},
    ),
    "bloom": Family(
        "h",
        "self_attention",
        (
            Place("self_attention.query_key_value.weight", 0, "head", times=3),
            Place("self_attention.query_key_value.bias", 0, "head", times=3),
            Place("self_attention.dense.weight", 1, "head"),
            *_linear("inner", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
        ),
        {},
        {
            "head": "BLOOM ties the number of heads to the hidden size, and each head's bias to its place",
            "inner": "BLOOM makes its MLP four times as wide as the hidden size",
        },
        heads_keep_their_place=True,
    ),
}


def layers_of(model: Any, family: Family) -> dict[str, nn.Module]:
    """The layers by qualified name."""
    base = model.base_model
    prefix = "" if base is model else f"{model.base_model_prefix}."
    found = base.get_submodule(family.layers)
    return {f"{prefix}{family.layers}.{name}": layer for name, layer in found.named_children()}


def _width(layer: nn.Module, family: Family, place: Place) -> int:
    own = 1 if place.kind == "inner" else int(getattr(layer.get_submodule(family.attention), "head_dim", 0))
    return own * place.times


def sizes_of(name: str, layer: nn.Module, family: Family) -> Sizes:
    """How many units of each kind a layer has.

    Args:
        name: the layer's name, for messages.
        layer: the layer.
        family: its make.

    Returns:
        The count by kind.

    Raises:
        StoreError: the tensors do not agree, or hold parts of units.
    """
    tensors, sizes = dict(layer.named_parameters()), Sizes()
    for place in family.places:
        if place.tensor not in tensors:
            continue
        length, width = tensors[place.tensor].shape[place.axis], _width(layer, family, place) * place.blocks
        count = length // width
        if count * width != length or sizes.setdefault(place.kind, count) != count:
            raise StoreError(
                f"{name}.{place.tensor} has {length} positions along axis {place.axis}, which are not the "
                f"{sizes.get(place.kind, 'whole')} units of kind {place.kind!r} that the rest of its layer has; cut "
                "whole heads and channels"
            )
    return sizes


def spread_out(tensor: Tensor, place: Place, width: int, positions: Tensor, total: int) -> Tensor:
    """A tensor with its units at other positions among ``total``, and zeros between them."""
    axis = place.axis
    units = tensor.movedim(axis, 0).reshape(place.blocks, len(positions), width, -1)
    wide = units.new_zeros(place.blocks, total, width, units.shape[-1])
    wide[:, positions] = units
    rest = [size for i, size in enumerate(tensor.shape) if i != axis]
    return wide.reshape(-1, *rest).movedim(0, axis).contiguous()


def padded_state(model: Any, family: Family, target: Sizes, heads: Callable[[str], Tensor | None]) -> dict[str, Tensor]:
    """The state of a model whose layers all have the target's sizes: zeros take the place of what is missing.

    A channel whose rows and columns are zero adds nothing, nor does a head whose values and output columns are zero.

    Args:
        model: the smaller model.
        family: its make.
        target: units per kind.
        heads: the places that a layer's heads must have, where their place matters.

    Returns:
        Tensors by name.
    """
    state = dict(model.state_dict())
    for name, layer in layers_of(model, family).items():
        sizes, tensors = sizes_of(name, layer, family), dict(layer.named_parameters())
        for place in family.places:
            if place.tensor in tensors:
                fixed = heads(name) if place.kind == "head" else None
                positions = _positions(place.kind, sizes, target) if fixed is None else fixed
                width = _width(layer, family, place)
                state[f"{name}.{place.tensor}"] = spread_out(
                    tensors[place.tensor].detach(), place, width, positions, target[place.kind]
                )
    return state


def _positions(kind: str, sizes: Sizes, target: Sizes) -> Tensor:
    places = torch.arange(sizes[kind])
    if kind != "head" or "kv" not in sizes:
        return places
    # Query heads stay with the key head that they share: their place is counted within its share.
    share, wide = sizes["head"] // sizes["kv"], target["head"] // target["kv"]
    return places // share * wide + places % share


def common(model: Any, family: Family) -> dict[str, Sizes]:
    """The sizes of every layer by its name."""
    return {name: sizes_of(name, layer, family) for name, layer in layers_of(model, family).items()}


def largest(all_sizes: Sequence[Sizes], multiple_of: int) -> Sizes:
    """Per kind a count that every layer's units fit in; query heads keep their share of each key head."""
    found = {kind: max(sizes[kind] for sizes in all_sizes) for kind in all_sizes[0]}
    found["inner"] = -(-found["inner"] // multiple_of) * multiple_of
    if "kv" in found:
        found["head"] = found["kv"] * max(sizes["head"] // sizes["kv"] for sizes in all_sizes)
    return found
