"""Networks in which cutting would not be masking, or the code would break: nothing is claimed, the reason told."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.structure.nets import Net, Row, param

Linear, Conv = nn.Linear, nn.Conv2d


@torch.library.custom_op("niwaki_tests::doubled", mutates_args=())
def doubled(x: Tensor) -> Tensor:
    return x * 2


@doubled.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("niwaki_tests::scrambled", mutates_args={"x"})
def scrambled(x: Tensor) -> None:
    x.copy_(x.flip(-1).cumsum(-1))


def scrambling(m, x):
    h = m.a(x)
    torch.ops.niwaki_tests.scrambled(h)
    return m.b(h)


def summing(run, **more):
    """A linear map, something, and a sum over all units."""
    return lambda: Net(lambda m, x: run(m.a(x), m).sum(-1), a=Linear(5, 4), **{k: v() for k, v in more.items()})


def between(run):
    return lambda: Net(lambda m, x: m.b(run(m.a(x), m)), a=Linear(5, 4), b=Linear(4, 2))


OPEN = {"a.weight": "summed over although masked units are not zero there (inexact=True allows it)"}


def left(reason):
    return {"a.weight": reason, "a.bias": reason}


# fmt: off
FROZEN = {
    # A masked unit is zero only as far as its own tensors go: sums see what was made of the zero since.
    "sum of sigmoids": Row(summing(lambda h, m: torch.sigmoid(h)), (2, 5), {}, OPEN),
    "sum of one less": Row(summing(lambda h, m: 1 - h), (2, 5), {}, OPEN),
    "sum of what is positive": Row(summing(lambda h, m: (h >= 0).double()), (2, 5), {}, OPEN),
    "sum of a fill": Row(summing(lambda h, m: h.masked_fill(h >= 0, 3.0)), (2, 5), {}, OPEN),
    "sum of a clamp": Row(summing(lambda h, m: h.clamp(min=0.1)), (2, 5), {}, OPEN),
    "sum of a larger one": Row(summing(lambda h, m: torch.maximum(h, m.t), t=lambda: param(1)), (2, 5), {}, OPEN),
    "sum of a concatenation": Row(
        summing(lambda h, m: torch.cat([torch.relu(h)[:, None], torch.sigmoid(h)[:, None]], 1)), (2, 5), {}, OPEN
    ),
    "sum of a stack": Row(summing(lambda h, m: torch.stack([torch.relu(h), h.exp()], 1)), (2, 5), {}, OPEN),
    "sum after a padding with ones": Row(
        summing(lambda h, m: functional.pad(h, (0, 0, 1, 1), value=1.0)), (2, 3, 5), {}, OPEN
    ),
    "sum of a view that was written on": Row(summing(lambda h, m: (h[:, :2].add_(1), h)[1]), (2, 5), {}, OPEN),
    "sum of a piece that was written": Row(
        summing(lambda h, m: (o := h.new_zeros(2, 2, h.shape[1]), o[:, 1].copy_(torch.cos(h)), o)[2]), (2, 5), {}, OPEN
    ),
    "sum after a batch norm over another axis": Row(
        summing(lambda h, m: m.n(h), n=lambda: nn.BatchNorm1d(3)), (2, 3, 5), {}, OPEN
    ),
    "sum after a group norm over another axis": Row(
        summing(lambda h, m: m.n(h), n=lambda: nn.GroupNorm(3, 3)), (2, 3, 5), {}, OPEN
    ),
    "sum after a layer norm over another axis": Row(
        lambda: Net(lambda m, x: m.n(m.a(x).mT).sum(1), a=Linear(5, 4), n=nn.LayerNorm(3)), (2, 3, 5), {}, OPEN
    ),
    "sum over learned queries": Row(
        lambda: Net(
            lambda m, x: functional.scaled_dot_product_attention(m.q.expand(2, 1, 6, 4), x, x, scale=0.5).sum(2),
            q=param(1, 1, 6, 4),
        ),
        (2, 1, 5, 4), {}, {"q": "summed over although masked units are not zero there"},
    ),
    # Zero may become infinite or no number at all, which no zero weight undoes.
    "reciprocal": Row(between(lambda h, m: 1 / h), (2, 5), {}, left("gives no number where units are masked")),
    "logarithm": Row(between(lambda h, m: h.abs().log()), (2, 5), {}, left("gives no number where units are masked")),
    # Numbers of the code that count units.
    "mean by hand": Row(
        summing(lambda h, m: h / h.shape[1]), (2, 5), {}, left("a smaller copy computes with [2] instead of [4]")
    ),
    "mean by a tensor made of the size": Row(
        summing(lambda h, m: h / torch.tensor(float(h.shape[1]))), (2, 5), {},
        left("computes with [2.0] instead of [4.0]"),
    ),
    "mean by a filled tensor": Row(
        summing(lambda h, m: h / torch.full((1,), h.shape[1])), (2, 5), {}, left("computes with [2] instead of [4]")
    ),
    "mean by the factor of a product": Row(
        lambda: Net(
            lambda m, x: torch.addmm(m.c, m.a(x), m.w, alpha=1 / m.w.shape[0]),
            a=Linear(5, 4), w=param(4, 2), c=param(2),
        ),
        (2, 5), {}, {"a.weight": "computes with [0.5] instead of [0.25]", "w": "computes with"},
    ),
    "attention whose scale follows its width": Row(
        lambda: Net(
            lambda m, x: functional.scaled_dot_product_attention(m.q(x), m.k(x), x, scale=m.k.out_features**-0.5),
            q=Linear(5, 4), k=Linear(5, 4),
        ),
        (2, 3, 5), {}, {"q.weight": "a smaller copy computes with", "k.bias": "instead of"},
    ),
    "attention without a scale": Row(
        lambda: Net(
            lambda m, x: functional.scaled_dot_product_attention(m.q(x), m.k(x), x), q=Linear(5, 4), k=Linear(5, 4)
        ),
        (2, 3, 5), {}, {"q.weight": "a smaller copy computes with"},
    ),
    # Lengths of the code that fit some choices of units only.
    "two halves by their share": Row(
        lambda: Net(
            lambda m, x: m.b((h := m.a(x))[:, : h.shape[1] // 2]) + m.c(h[:, h.shape[1] // 2 :]),
            a=Linear(5, 8), b=Linear(4, 2), c=Linear(4, 2),
        ),
        (2, 5), {}, {"a.weight": "fixes a size here", "b.weight": "fixes a size here", "c.weight": "fixes a size here"},
    ),
    "two small halves by torch": Row(
        lambda: Net(
            lambda m, x: (lambda u, v: m.b(u) + m.c(v))(*m.a(x).tensor_split(2, 1)),
            a=Linear(5, 4), b=Linear(2, 2), c=Linear(2, 2),
        ),
        # The first half is the longer one: of the second, one may go.
        (2, 5), {"a#2": ("channel", 2, "a.bias/0 a.weight/0 c.weight/1")}, {"b.weight": "fixes a size here"},
    ),
    "lengths in a list": Row(
        lambda: Net(
            lambda m, x: (lambda u, v: m.b(u) + m.c(v))(*m.a(x).split(m.sizes, 1)),
            a=Linear(5, 8), b=Linear(3, 2), c=Linear(5, 2), sizes=[3, 5],
        ),
        (2, 5), {}, {"a.weight": "the code of 'Net' fixes a size here that no attribute of it controls"},
    ),
    "a length in the code": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).view(-1, 36)), a=Conv(3, 4, 1), b=Linear(36, 2)),
        (2, 3, 3, 3), {}, {"a.weight": "a smaller copy gives (1, 36) instead of (2, 18)", "b.weight": "fixes a size"},
    ),
    "groups in the code": Row(
        lambda: Net(lambda m, x: m.h(functional.conv2d(m.a(x), m.w, groups=4)), a=Conv(3, 4, 1), w=param(4, 1, 1, 1),
                    h=Conv(4, 2, 1)),
        (2, 3, 2, 2), {}, {"a.weight": "the code of 'Net' fixes a size here that no attribute of it controls"},
    ),
    # What depends on the position, or on all units at once.
    "rolled": Row(between(lambda h, m: h.roll(1, -1)), (2, 5), {}, left("rolled by a fixed number of positions")),
    "running sum": Row(between(lambda h, m: h.cumsum(-1)), (2, 5), {}, left("cumsum runs over it")),
    "sorted": Row(between(lambda h, m: h.sort(-1)[0]), (2, 5), {}, left("sort runs over it")),
    "triangle": Row(between(lambda h, m: h.tril()), (4, 5), {}, left("tril depends on the position")),
    "a ramp": Row(between(lambda h, m: h + torch.linspace(0, 1, 4)), (2, 5), {}, left("made by aten::linspace")),
    "looked up": Row(between(lambda h, m: h[:, torch.tensor([1, 0, 3, 2])]), (2, 5), {}, left("looked up by number")),
    "one picked": Row(
        between(lambda h, m: h[:, 2:3] + h), (2, 5), {}, left("a smaller copy takes a slice from 2 on")
    ),
    "some picked": Row(
        lambda: Net(lambda m, x: (m.b(h := m.a(x)), h[:, 3:5]), a=Linear(5, 9), b=Linear(9, 2)),
        (2, 5), {}, left("takes a slice from 3 on instead of"),
    ),
    "the first picked": Row(
        between(lambda h, m: h[:, :1] + h), (2, 5), {"a": ("channel", 3, "a.bias/0 a.weight/0 b.weight/1")}
    ),
    "one more bit": Row(between(lambda h, m: h.view(torch.float32)[..., ::2].double()), (2, 5), {}, left("")),
    "softmax over units": Row(between(lambda h, m: h.softmax(-1)), (2, 5), {}, left("_softmax runs over it")),
    "mean over units": Row(between(lambda h, m: h - h.mean(-1, keepdim=True)), (2, 5), {}, left("mean runs over it")),
    "a weight brought to mean zero": Row(
        lambda: Net(
            lambda m, x: functional.linear(m.a(x), functional.batch_norm(m.w[None], None, None, m.s, training=True)[0]),
            a=Linear(5, 4), w=param(3, 4), s=param(3),
        ),
        (2, 5), {}, left("a norm runs over it (inexact=True allows it)"),
    ),
    "normalised": Row(between(lambda h, m: functional.normalize(h, dim=-1)), (2, 5), {}, left("runs over it")),
    "neighbours across channels": Row(
        lambda: Net(lambda m, x: m.b(m.n(m.a(x))), a=Conv(3, 4, 1), n=nn.LocalResponseNorm(3), b=Conv(4, 2, 1)),
        (2, 3, 3, 3), {}, left("avg_pool3d runs over it"),
    ),
    "reshaped across": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).reshape(4, -1)), a=Linear(5, 6), b=Linear(3, 2)),
        (2, 5), {"a": ("channel", 3, "a.bias/0*2 a.weight/0*2 b.weight/1")},
    ),
    "reshaped across nothing that fits": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).reshape(3, 4)), a=Linear(5, 6), b=Linear(4, 2)),
        (2, 5), {}, left("a reshape cuts across it"),
    ),
    "squared by itself": Row(
        lambda: Net(
            lambda m, x: m.b(((h := m.a(x))[:, :, None] * h[:, None]).flatten(1)), a=Linear(5, 4), b=Linear(16, 2)
        ),
        (2, 5), {}, left("lies inside an axis that is cut as a whole"),
    ),
    "squeezed, two units": Row(
        lambda: Net(lambda m, x: m.b(m.a(x)[..., None, None].squeeze()), a=Linear(5, 2), b=Linear(2, 2)), (3, 5), {}
    ),
    # Operators without a rule.
    "an operator of one's own": Row(
        between(lambda h, m: torch.ops.niwaki_tests.doubled(h)), (2, 5), {},
        {**left("there is no rule for niwaki_tests::doubled"), "b.weight": "no rule for niwaki_tests::doubled"},
    ),
    "an operator of one's own that writes": Row(
        lambda: Net(scrambling, a=Linear(5, 4), b=Linear(4, 2)), (2, 5), {},
        left("there is no rule for niwaki_tests::scrambled"),
    ),
    "only what it touches": Row(
        lambda: nn.Sequential(
            Linear(5, 4), Net(lambda m, x: torch.ops.niwaki_tests.doubled(x)), Linear(4, 6), nn.ReLU(), Linear(6, 2)
        ),
        (2, 5), {"2": ("channel", 6, "2.bias/0 2.weight/0 4.weight/1")},
        {"0.weight": "there is no rule for niwaki_tests::doubled (in 1)", "0.bias": "(in 1)"},
    ),
    "weights under another parametrization": Row(
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(Linear(5, 4)), Linear(4, 2)), (2, 5), {},
        {"0.parametrizations.weight.original0": "belongs to a parametrization", "0.bias": "parametrization"},
    ),
}
# fmt: on
