"""Layers of other libraries: known by the sizes that they state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.core import gather
from niwaki.structure.declare import blocks, n_of_m, weights


class Stating(nn.Module):
    """A layer of no known class that states its sizes, as those of other libraries do."""

    def __init__(self, shape, **sizes):
        super().__init__()
        self.weight, self.other = nn.Parameter(torch.randn(shape)), nn.Parameter(torch.randn(5, 5))
        for name, size in sizes.items():
            setattr(self, name, size)


@pytest.mark.parametrize(
    ("shape", "sizes", "inputs"),
    [
        ((2, 4), {"out_features": 2, "in_features": 4}, 1),
        ((4, 2), {"out_features": 2, "in_features": 4}, 0),
        ((4, 4), {"out_features": 4, "in_features": 4}, 1),
        ((4, 2), {"nf": 2, "nx": 4}, 0),
        ((4, 4), {"nf": 4, "nx": 4}, 0),
        ((6, 4, 3), {"out_channels": 6, "in_channels": 8, "groups": 2}, 1),
    ],
    ids=["linear", "turned", "square", "nf", "nf square", "grouped convolution"],
)
def test_a_layer_of_another_library_is_known_by_the_sizes_it_states(shape, sizes, inputs):
    """Four inputs of each output make one run of a 1:4 pattern, wherever the axis of the inputs lies."""
    layer = Stating(shape, **sizes)
    assert [group.name for group in weights(layer)] == ["weight"]
    assert "Stating" in weights(layer).left_out["other"]
    (group,) = n_of_m(layer, 1, 4)
    (where,) = group.slices
    runs = gather(where, torch.arange(layer.weight.numel()).reshape(shape)).reshape(-1, 4)
    spots = [torch.unravel_index(run, shape) for run in runs]
    assert all(spot[inputs].tolist() == [0, 1, 2, 3] for spot in spots)
    assert all(len(set(axis.tolist())) == 1 for spot in spots for k, axis in enumerate(spot) if k != inputs)


def test_the_linear_layers_of_gpt2_are_found():
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11, n_positions=4)
    model = transformers.GPT2LMHeadModel(config)
    block = "transformer.h.0."
    assert [group.name for group in weights(model)] == [
        block + name + ".weight" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
    ]
    wide = next(group for group in blocks(model, (8, 1)) if group.name.endswith("c_fc.weight"))
    assert wide.size == 32 // 8 * 8  # 32 outputs, 8 inputs
