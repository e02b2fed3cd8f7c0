"""`nn.MultiheadAttention` whose heads together are not as wide as its inputs, which torch's own forward cannot run."""

from __future__ import annotations

import math
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import GroupError


def is_uneven(layer: nn.MultiheadAttention) -> bool:
    """Whether torch's forward, which takes the width of all heads for that of the inputs, no longer fits."""
    return bool(layer.num_heads * layer.head_dim != layer.embed_dim)


def _projected(layer: nn.MultiheadAttention, inputs: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    packed: Tensor | None = layer.in_proj_weight
    separate = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
    weights = separate if packed is None else packed.chunk(3)
    biases = (None,) * 3 if layer.in_proj_bias is None else layer.in_proj_bias.chunk(3)
    return [functional.linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]


def _with_extras(layer: nn.MultiheadAttention, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values ``[n, length, width]`` with the learned and the zero position that the layer may add."""
    count, _, width = keys.shape
    if layer.bias_k is not None and layer.bias_v is not None:
        keys = torch.cat([keys, layer.bias_k.expand(count, 1, width)], 1)
        values = torch.cat([values, layer.bias_v.expand(count, 1, width)], 1)
    if layer.add_zero_attn:
        keys, values = (functional.pad(x, (0, 0, 0, 1)) for x in (keys, values))
    return keys, values


def _additive(mask: Tensor | None, like: Tensor) -> Tensor | None:
    if mask is None or mask.is_floating_point():
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -math.inf)


def _whole_mask(
    layer: nn.MultiheadAttention, mask: Tensor | None, padding: Tensor | None, queries: Tensor, length: int
) -> Tensor | None:
    # Both masks as one, added to scores [n, heads, queries, keys]; the positions that the layer adds are never masked.
    mask, padding = _additive(mask, queries), _additive(padding, queries)
    if mask is not None and mask.dim() == 3:
        if mask.shape[0] != len(queries) * layer.num_heads:
            raise GroupError(
                f"attn_mask has a first axis of {mask.shape[0]} for {len(queries)} samples and the {layer.num_heads} "
                "heads that are left; give one mask [queries, keys] for all heads, or leave out the removed heads"
            )
        mask = mask.reshape(len(queries), layer.num_heads, *mask.shape[1:])
    if padding is not None:
        padding = padding[:, None, None, :]
        mask = padding if mask is None else mask + padding
    return None if mask is None else functional.pad(mask, (0, length - mask.shape[-1]))


def _attend(
    layer: nn.MultiheadAttention, inputs: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, padding: Tensor | None
) -> tuple[Tensor, Tensor]:
    queries, keys, values = _projected(layer, inputs)
    keys, values = _with_extras(layer, keys, values)
    mask = _whole_mask(layer, mask, padding, queries, keys.shape[1])
    wide = (layer.num_heads, layer.head_dim)
    q, k, v = (x.reshape(*x.shape[:2], *wide).transpose(1, 2) for x in (queries, keys, values))
    scores = q * layer.head_dim**-0.5 @ k.transpose(-2, -1)
    shares = (scores if mask is None else scores + mask).softmax(-1)
    shares = functional.dropout(shares, layer.dropout, layer.training)
    # Length first, as torch has it: how a tensor lies in memory decides which kernels come after.
    return layer.out_proj((shares @ v).permute(2, 0, 1, 3).flatten(2)).transpose(0, 1), shares


def _forward(
    self: nn.MultiheadAttention,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    *options: Any,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    # torch takes the last three by position as well.
    named: tuple[Any, ...] = (attn_mask, average_attn_weights, is_causal)
    attn_mask, average_attn_weights, is_causal = (*options, *named[len(options) :])
    if is_causal and attn_mask is None:
        raise GroupError("is_causal=True is only a hint: give attn_mask= as well, as for every MultiheadAttention")
    batched = query.dim() == 3
    first = self.batch_first or not batched
    ordered = [x if batched else x[None] for x in (query, key, value)]
    q, k, v = (x if first else x.transpose(0, 1) for x in ordered)
    padding = key_padding_mask if batched or key_padding_mask is None else key_padding_mask[None]
    out, shares = _attend(self, (q, k, v), attn_mask, padding)
    shares = shares.mean(1) if average_attn_weights else shares
    if not batched:
        return out[0], shares[0] if need_weights else None
    return out if first else out.transpose(0, 1), shares if need_weights else None


def even_out(layer: nn.MultiheadAttention) -> None:
    """Give a layer whose heads are not as wide as its inputs a forward that can run it; its class stays.

    Takes and returns what `nn.MultiheadAttention` does; the weights are those of the heads that are left.
    """
    # torch asks this attribute whether its fused kernels fit the layer, and nothing else once the forward is ours.
    layer._qkv_same_embed_dim = False
    layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]
