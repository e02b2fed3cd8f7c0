"""Heads of attention in the forms in which networks have them: whole heads go, cutting is masking."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from niwaki.structure import shrink
from niwaki.structure.discover import heads
from tests.structure.nets import Net, described, example_of, random_keep, randomised, run, zeroed

Linear, Size = nn.Linear, torch.Size


def multihead(need_weights=False, **options):
    return lambda: Net(
        lambda m, x, y: m.o(m.att(x, y, y, need_weights=need_weights)[0]),
        att=nn.MultiheadAttention(8, 4, **options), o=Linear(8, 3),
    )  # fmt: skip


def grouped(spread):
    """Six query heads share two heads of keys and values."""

    def attend(m, x):
        b, n, _ = x.shape
        q, k, v = (y.view(b, n, -1, 4).transpose(1, 2) for y in (m.q(x), m.k(x), m.v(x)))
        return m.o(functional.scaled_dot_product_attention(q, *spread(k, v)).transpose(1, 2).flatten(2))

    return lambda: Net(attend, q=Linear(8, 24), k=Linear(8, 8), v=Linear(8, 8), o=Linear(24, 3))


def expanded(y):
    b, heads_, n, wide = y.shape
    return y[:, :, None].expand(b, heads_, 3, n, wide).reshape(b, -1, n, wide)


def shared(m, x):
    q = m.q(x).unflatten(-1, (-1, 4)).transpose(1, 2)
    k, v = m.k(x)[:, None], m.v(x)[:, None]
    return m.o(functional.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2))


def rotary(m, x):
    b, n, _ = x.shape
    q, k, v = (t.view(b, n, -1, 6).transpose(1, 2) for t in m.qkv(x).chunk(3, -1))
    angle = torch.arange(n, dtype=x.dtype)[:, None] * torch.tensor([1.0, 0.5, 0.1, 1.0, 0.5, 0.1])

    def turned(t):
        return t * angle.cos() + torch.cat((-t[..., 3:], t[..., :3]), -1) * angle.sin()

    return m.o(functional.scaled_dot_product_attention(turned(q), turned(k), v).transpose(1, 2).flatten(2))


def windowed(m, x):
    b, h, w, c = x.shape
    t = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
    q, k, v = m.qkv(t).reshape(len(t), 4, 3, m.num_heads, -1).permute(2, 0, 3, 1, 4)
    shares = (q @ k.mT * 0.5 + m.bias[torch.arange(16) % 9].view(4, 4, -1).permute(2, 0, 1)).softmax(-1)
    o = m.proj((shares @ v).transpose(1, 2).reshape(len(t), 4, -1))
    return o.view(b, h // 2, w // 2, 2, 2, -1).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, -1)


PACKED = "att.in_proj_bias/0*6 att.in_proj_weight/0*6 att.out_proj.weight/1*2"
SHARED = "k.bias/0*4 k.weight/0*4 v.bias/0*4 v.weight/0*4 q.bias/0*12 q.weight/0*12 o.weight/1*12"
TWO = (Size((2, 3, 8)), Size((2, 3, 8)))
FORMS = {
    "MultiheadAttention": (multihead(batch_first=True), TWO, ("att", 4, PACKED)),
    "MultiheadAttention, length first, with weights": (multihead(need_weights=True), TWO, ("att", 4, PACKED)),
    "MultiheadAttention, other keys": (
        multihead(kdim=5, vdim=5, batch_first=True), (Size((2, 3, 8)), Size((2, 4, 5))),
        ("att", 4, "att.in_proj_bias/0*6 att.q_proj_weight/0*2 att.k_proj_weight/0*2 att.v_proj_weight/0*2 "
         "att.out_proj.weight/1*2"),
    ),
    "MultiheadAttention, one more key": (
        multihead(add_bias_kv=True, batch_first=True), TWO, ("att", 4, f"{PACKED} att.bias_k/2*2 att.bias_v/2*2")
    ),
    "shared keys, flag": (grouped(lambda k, v: (k.repeat_interleave(3, 1), v.repeat_interleave(3, 1))),
                          Size((2, 5, 8)), ("q", 2, SHARED)),
    "shared keys, expanded": (grouped(lambda k, v: (expanded(k), expanded(v))), Size((2, 5, 8)), ("q", 2, SHARED)),
    "one head of keys": (
        lambda: Net(shared, q=Linear(8, 24), k=Linear(8, 4), v=Linear(8, 4), o=Linear(24, 3)), Size((2, 5, 8)),
        ("q", 6, "q.bias/0*4 q.weight/0*4 o.weight/1*4"),
    ),
    "rotary": (lambda: Net(rotary, qkv=Linear(8, 72), o=Linear(24, 3)), Size((2, 5, 8)),
               ("qkv", 4, "qkv.bias/0*18 qkv.weight/0*18 o.weight/1*6")),
    "windows with a bias": (
        lambda: Net(windowed, qkv=Linear(6, 24), proj=Linear(8, 3), num_heads=4, bias=nn.Parameter(torch.randn(9, 4))),
        Size((1, 4, 4, 6)), ("qkv", 4, "qkv.bias/0*6 qkv.weight/0*6 proj.weight/1*2 bias/1"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_whole_heads_go(form):
    make, shape, (name, size, words) = FORMS[form]
    torch.manual_seed(0)
    model = randomised(make())
    example = example_of(tuple(shape) if isinstance(shape, Size) else shape)
    groups = heads(model, example)
    assert described(groups) == {name: ("head", size, " ".join(sorted(words.split())))}
    for seed in range(3):
        keep = random_keep(groups, seed)
        got, wanted = run(shrink(model, groups, keep), example), run(zeroed(model, groups, keep), example)
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
        assert seed or not torch.allclose(wanted[0], run(model, example)[0])
