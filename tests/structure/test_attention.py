"""Attention with fewer heads than its width asks for: it gives what the whole layer gives, removed heads zeroed."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.store import load, save
from niwaki.structure import shrink
from tests.structure.declared import group, kept

HEADS, WIDTH, EACH = 4, 8, 2


def heads_of(model, at=""):
    """One unit per head: its rows of the three projections, its columns of the last one."""
    own = torch.arange(WIDTH).reshape(HEADS, EACH)
    layer = model.get_submodule(at.rstrip("."))
    if layer.in_proj_weight is None:
        places = [(f"{at}{name}_proj_weight", 0, own) for name in "qkv"]
    else:
        places = [(f"{at}in_proj_weight", 0, torch.cat([own, own + WIDTH, own + 2 * WIDTH], 1))]
    if layer.in_proj_bias is not None:
        places.append((f"{at}in_proj_bias", 0, torch.cat([own, own + WIDTH, own + 2 * WIDTH], 1)))
    if layer.bias_k is not None:
        places += [(f"{at}bias_k", 2, own), (f"{at}bias_v", 2, own)]
    return group(model, "heads", HEADS, [*places, (f"{at}out_proj.weight", 1, own)], kind="head")


def silenced(model, at, heads):
    """A copy whose other heads have no column in the last projection."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for head in set(range(HEADS)) - set(heads):
            columns = slice(head * EACH, (head + 1) * EACH)
            model.get_submodule(at.rstrip(".")).out_proj.weight[:, columns] = 0
    return model


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"bias": False},
        {"kdim": 5, "vdim": 6},
        {"add_bias_kv": True},
        {"add_zero_attn": True, "batch_first": True},
        {"add_bias_kv": True, "add_zero_attn": True},
    ],
    ids=str,
)
def test_three_of_four_heads(options, need_weights):
    layer = nn.MultiheadAttention(WIDTH, HEADS, **options).eval()
    if layer.out_proj.bias is not None:
        nn.init.normal_(layer.out_proj.bias)
    small = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 0, 1, 3)}).eval()
    assert type(small) is nn.MultiheadAttention
    assert (small.num_heads, small.head_dim, small.embed_dim, small.out_proj.in_features) == (3, EACH, WIDTH, 6)
    axes = (3, 5) if layer.batch_first else (5, 3)
    query, key, value = (torch.randn(*axes, width) for width in (WIDTH, layer.kdim, layer.vdim))
    padding = torch.zeros(3, 5, dtype=torch.bool)
    padding[1, 3:] = True
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    masks: list[dict[str, object]] = [
        {},
        {"key_padding_mask": padding},
        {"attn_mask": causal},
        {"attn_mask": causal.isinf()},
    ]
    masks.append({"key_padding_mask": padding, "attn_mask": causal.isinf()})
    if not (layer.add_zero_attn or layer.bias_k is not None):  # torch's causal hint would hide the added positions
        masks.append({"attn_mask": causal, "is_causal": True})
    oracle = silenced(layer, "", (0, 1, 3))
    for extra in masks:
        call = {"need_weights": need_weights, "average_attn_weights": False, **extra}
        out, shares = small(query, key, value, **call)
        wanted, all_shares = oracle(query, key, value, **call)
        torch.testing.assert_close(out, wanted)
        assert (shares is None) == (not need_weights)
        if need_weights:
            torch.testing.assert_close(shares, all_shares[:, [0, 1, 3]])


def test_one_sequence_without_a_batch():
    layer = nn.MultiheadAttention(WIDTH, HEADS)
    small = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 1, 2)})
    x, padding = torch.randn(5, WIDTH), torch.tensor([False] * 4 + [True])
    out, shares = small(x, x, x, key_padding_mask=padding)
    wanted, all_shares = silenced(layer, "", (1, 2))(x, x, x, key_padding_mask=padding, average_attn_weights=False)
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(shares, all_shares[[1, 2]].mean(0))


@pytest.mark.parametrize("training", [True, False])
def test_within_a_transformer_with_its_fused_path(training):
    block = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(block, 1, enable_nested_tensor=False).train(training)
    at = "layers.0.self_attn."
    small = shrink(model, [heads_of(model, at)], {"heads": kept(HEADS, 0, 2)})
    x = torch.randn(3, 5, WIDTH)
    with torch.no_grad():
        torch.testing.assert_close(small(x), silenced(model, at, (0, 2))(x))


def test_it_can_be_cut_again_copied_and_trained():
    layer = nn.MultiheadAttention(WIDTH, HEADS)
    twice = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 0, 1, 3)})
    own = torch.arange(6).reshape(3, 2)
    places = [(name, 0, torch.cat([own, own + 6, own + 12], 1)) for name in ("in_proj_weight", "in_proj_bias")]
    again = group(twice, "heads", 3, [*places, ("out_proj.weight", 1, own)], kind="head")
    shrink(twice, [again], {"heads": kept(3, 0, 2)}, inplace=True)
    x = torch.randn(5, 3, WIDTH)
    wanted = silenced(layer, "", (0, 3))(x, x, x)[0]
    torch.testing.assert_close(twice(x, x, x)[0], wanted)
    other = copy.deepcopy(twice)
    with torch.no_grad():
        twice.in_proj_weight.zero_()
    torch.testing.assert_close(other(x, x, x)[0], wanted)  # the copy computes with its own weights
    other(x, x, x)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in other.parameters())


def test_it_is_called_by_position_compiled_and_exported_as_the_whole_layer():
    layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    small = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 0, 1, 3)})
    x, oracle = torch.randn(3, 5, WIDTH), silenced(layer, "", (0, 1, 3))
    padding, mask = torch.randn(3, 5), torch.randn(5, 5)
    call = (x, x, x, padding, True, mask, False, False)
    (out, shares), (wanted, all_shares) = small(*call), oracle(*call)
    torch.testing.assert_close(out, wanted)
    torch.testing.assert_close(shares, all_shares[:, [0, 1, 3]])
    program = torch.export.export(small, (x, x, x)).module()
    torch.testing.assert_close(program(x, x, x)[0], oracle(x, x, x)[0])
    compiled = torch.compile(small, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, x, x)[0], oracle(x, x, x)[0])


def test_a_saved_layer_comes_back(tmp_path):
    layer = nn.MultiheadAttention(WIDTH, HEADS)
    small = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 0, 2)})
    save(small, tmp_path / "small")
    again = load(nn.MultiheadAttention(WIDTH, HEADS), tmp_path / "small")
    x = torch.randn(5, 3, WIDTH)
    assert torch.equal(again(x, x, x)[0], small(x, x, x)[0])


def test_masks_of_heads_that_are_gone():
    layer = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    small = shrink(layer, [heads_of(layer)], {"heads": kept(HEADS, 0, 2)})
    x, mask = torch.randn(3, 5, WIDTH), torch.randn(3, HEADS, 5, 5)
    with pytest.raises(GroupError, match="a first axis of 12 for 3 samples and the 2 heads that are left"):
        small(x, x, x, attn_mask=mask.flatten(0, 1))
    out, _ = small(x, x, x, attn_mask=mask[:, [0, 2]].flatten(0, 1))
    torch.testing.assert_close(out, silenced(layer, "", (0, 2))(x, x, x, attn_mask=mask.flatten(0, 1))[0])
    with pytest.raises(GroupError, match="is_causal=True is only a hint"):
        small(x, x, x, is_causal=True)
