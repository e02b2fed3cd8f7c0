"""Norms of inputs, against loops over the very numbers that enter each layer."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from niwaki.signals import collect


def _norms(model, batches, **more):
    return collect(model, batches, needs={"input_norm"}, **more).values["input_norm"]


def _entering(model, module, inputs):
    """What enters a module, by a hook of the test's own, in NumPy's float64."""
    seen = []
    with torch.no_grad():
        handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0].double().numpy()))
        for each in inputs:
            model(each)
        handle.remove()
    return seen


def test_a_linear_layer_by_hand():
    # Columns of the inputs: (3, 4) and (0, 2), then (0, 5): norms 5 and sqrt(4 + 25).
    model = nn.Linear(2, 3)
    batches = [(torch.tensor([[3.0, 0.0], [4.0, 2.0]]), None), (torch.tensor([[0.0, 5.0]]), None)]
    found = _norms(model, batches)
    assert list(found) == ["weight"]
    np.testing.assert_allclose(found["weight"].numpy(), [[5.0, 29**0.5]] * 3, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 2, 3, 4)])
def test_linear_layers_of_any_rank(shape):
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2, bias=False)).double()
    inputs = [torch.randn(shape, dtype=torch.float64) for _ in range(3)]
    found = _norms(model, [(x, None) for x in inputs])
    for name in ("0", "2"):
        rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in _entering(model, model.get_submodule(name), inputs)])
        expected = [np.sqrt(sum(float(v) ** 2 for v in rows[:, j])) for j in range(rows.shape[1])]
        weight = model.get_parameter(f"{name}.weight")
        np.testing.assert_allclose(found[f"{name}.weight"].numpy(), [expected] * weight.shape[0], rtol=1e-12)


CONVOLUTIONS = [
    nn.Conv1d(4, 6, 3),
    nn.Conv2d(4, 6, 3, padding=1),
    nn.Conv2d(4, 6, 3, groups=2, stride=2, bias=False),
    nn.Conv2d(4, 8, 1, groups=4),
    nn.Conv3d(4, 2, 2),
    nn.ConvTranspose2d(4, 6, 3),
    nn.ConvTranspose2d(4, 6, 3, groups=2),
]


LAYOUTS = [(layer, "contiguous") for layer in CONVOLUTIONS] + [(CONVOLUTIONS[2], "channels_last")]


@pytest.mark.parametrize(("layer", "layout"), LAYOUTS, ids=str)
def test_convolutions_by_input_channel(layer, layout):
    rank, layer = layer.weight.dim() - 2, copy.deepcopy(layer)
    inputs = [torch.randn(n, 4, *[5] * rank) for n in (2, 3)]
    if layout == "channels_last":
        layer = layer.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) for x in inputs]
    found = _norms(layer, [(x, None) for x in inputs])["weight"]
    assert found.shape == layer.weight.shape
    norms = [np.sqrt(sum((x[:, c].double().numpy() ** 2).sum() for x in inputs)) for c in range(4)]
    for place in np.ndindex(*found.shape):
        out, read = place[:2]
        if layer.transposed:
            channel = out  # axis 0 holds the inputs
        else:
            channel = out // (layer.out_channels // layer.groups) * (4 // layer.groups) + read
        assert found[place].item() == pytest.approx(norms[channel], rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_projections_of_attention(training):
    torch.manual_seed(0)
    model = nn.MultiheadAttention(4, 2, batch_first=True).train(training)
    x = torch.randn(3, 5, 4)
    found = _norms(model, [((x, x, x), None)])
    assert set(found) == {"in_proj_weight", "out_proj.weight"}
    entering = x.reshape(-1, 4).norm(dim=0)
    torch.testing.assert_close(found["in_proj_weight"], entering.expand(12, 4))
    # What enters the last projection, head by head, by the textbook.
    query, key, value = functional.linear(x, model.in_proj_weight, model.in_proj_bias).detach().chunk(3, dim=-1)
    heads = []
    for h in (slice(0, 2), slice(2, 4)):
        share = torch.softmax(query[..., h] @ key[..., h].transpose(1, 2) / 2**0.5, -1)
        heads.append(share @ value[..., h])
    mixed = torch.cat(heads, -1).reshape(-1, 4)
    torch.testing.assert_close(found["out_proj.weight"], mixed.norm(dim=0).expand(4, 4))


def test_cross_attention_reads_parts_of_one_parameter():
    model = nn.MultiheadAttention(4, 2, batch_first=True)
    q, k, v = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.randn(2, 5, 4)
    found = _norms(model, [((q, k, v), None)])["in_proj_weight"]
    for part, x in zip(found.chunk(3), (q, k, v), strict=True):
        torch.testing.assert_close(part, x.reshape(-1, 4).norm(dim=0).expand(4, 4))


def test_the_fused_encoder_layer_is_looked_into():
    model = nn.TransformerEncoderLayer(4, 2, 6, batch_first=True).eval()
    found = _norms(model, [(torch.randn(2, 3, 4), None)])
    assert set(found) == {"self_attn.in_proj_weight", "self_attn.out_proj.weight", "linear1.weight", "linear2.weight"}
    assert torch.backends.mha.get_fastpath_enabled()


class Bare(nn.Module):
    """Parameters without modules: inputs first, in an einsum, from the left, as a vector, by parts, and twice."""

    def __init__(self):
        super().__init__()
        for name, shape in {"a": (4, 3), "b": (3, 4), "c": (2, 3), "d": (4,), "e": (6, 4)}.items():
            setattr(self, name, nn.Parameter(torch.randn(shape)))

    def forward(self, x):
        inner = torch.addmm(torch.zeros(3), x, self.a)
        left = self.c @ inner.T
        half = functional.linear(x, self.e[:3]) + functional.linear(2 * x, self.e[3:])
        return torch.einsum("ni,oi->no", x, self.b) + inner + half + left.sum(), x @ self.d, (x + 1) @ self.a


def test_bare_parameters():
    model, x = Bare(), torch.randn(5, 4)
    found = _norms(model, [(x, None)])
    columns = x.norm(dim=0)
    twice = (x.square().sum(0) + (x + 1).square().sum(0)).sqrt()
    torch.testing.assert_close(found["a"], twice[:, None].expand(4, 3))
    torch.testing.assert_close(found["b"], columns.expand(3, 4))
    torch.testing.assert_close(found["c"], (x @ model.a).detach().norm(dim=0).expand(2, 3))
    torch.testing.assert_close(found["d"], columns)
    torch.testing.assert_close(found["e"], torch.cat([columns.expand(3, 4), 2 * columns.expand(3, 4)]))


def test_one_weight_for_a_whole_stack_of_matrices():
    class Stacked(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.randn(3, 2))

        def forward(self, x):
            return torch.bmm(x, self.w.expand(x.shape[0], 3, 2))

    x = torch.randn(4, 5, 3)
    found = _norms(Stacked(), [(x, None)])["w"]
    torch.testing.assert_close(found, x.reshape(-1, 3).norm(dim=0)[:, None].expand(3, 2))


def test_sums_run_in_float64():
    # 2^24 + 1 is not a float32: with sums in float32 the many ones after the one large number would be lost.
    x = torch.cat([torch.full((1, 1), 4096.0), torch.ones(999, 1)])
    found = _norms(nn.Linear(1, 1), [(row[None], None) for row in x])["weight"]
    assert found.item() == np.float32(np.sqrt(4096.0**2 + 999))
    half = nn.Linear(1, 1, dtype=torch.bfloat16)
    assert _norms(half, [(torch.ones(300, 1, dtype=torch.bfloat16), None)])["weight"].item() == pytest.approx(300**0.5)


class Several(nn.Module):
    """Two inputs, one of them by keyword."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(2, 3), nn.Linear(4, 3)

    def forward(self, a, *, b):
        return {"sum": self.one(a) + self.two(b)}


def test_batches_of_every_form():
    model, a, b = Several(), torch.randn(5, 2), torch.randn(5, 4)
    for batch, more in [
        (({"a": a, "b": b}, None), {}),
        ({"a": a, "b": b}, {}),
        ({"left": a, "right": b}, {"step": lambda m, batch: m(batch["left"], b=batch["right"])}),
    ]:
        found = _norms(model, [batch], **more)
        torch.testing.assert_close(found["one.weight"], a.norm(dim=0).expand(3, 2))
        torch.testing.assert_close(found["two.weight"], b.norm(dim=0).expand(3, 4))
    alone = _norms(model.one, [a])
    torch.testing.assert_close(alone["weight"], a.norm(dim=0).expand(3, 2))


def test_what_multiplies_nothing_is_absent():
    model = nn.Sequential(nn.Embedding(5, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    assert set(_norms(model, [(torch.tensor([[0, 1]]), None)])) == {"2.weight"}
