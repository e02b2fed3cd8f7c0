"""Operators on values, element by element, along an axis, by position; recurrent layers; inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.structure.nets import Net, Row, param

Linear, Conv, Size = nn.Linear, nn.Conv2d, torch.Size
PLAIN = {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1")}
PAIR = {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1 c.bias/0 c.weight/0")}


def between(run):
    """A linear map, something, a linear map."""
    return lambda: Net(lambda m, x: m.b(run(m.a(x))), a=Linear(5, 4), b=Linear(4, 2))


def joined(run):
    """Two linear maps that meet, and one more."""
    return lambda: Net(lambda m, x: m.b(run(m.a(x), m.c(x))), a=Linear(5, 4), c=Linear(5, 4), b=Linear(4, 2))


@dataclass
class Pair:
    """An output of a class of one's own."""

    one: Tensor
    two: tuple[Tensor, ...]


def filled(m, x):
    """A tensor made empty and written piece by piece."""
    h = m.a(x)
    made = h.new_zeros(h.shape[0], 2, h.shape[1])
    made[:, 0] = torch.relu(h)
    made[:, 1].copy_(h).mul_(2)
    made.view(-1).add_(1)
    return m.b(made)


def buffered(run, shape, **parts):
    """A network with a buffer ``table``."""

    def make():
        net = Net(run, **parts)
        net.register_buffer("table", torch.rand(shape))
        return net

    return make


# fmt: off
VALUES = {
    "activations of many kinds": Row(
        between(
            lambda h: functional.hardswish(functional.gelu(h)) + functional.leaky_relu(h, 0.1).clamp(-1, 1)
            + torch.where(h > 0, h, 0.1 * h).masked_fill(h > 2, 1.0) - functional.dropout(h, 0.5, False) / 2
        ),
        (2, 5),
        PLAIN,
    ),
    "in place": Row(between(lambda h: h.add_(1).mul_(2).relu_()), (2, 5), PLAIN),
    "gated by a second map": Row(joined(lambda h, g: functional.silu(g) * h), (2, 5), PAIR),
    "gated by one number": Row(
        lambda: Net(lambda m, x: m.b(m.a(x) * torch.sigmoid(m.g(x))), a=Linear(5, 4), g=Linear(5, 1), b=Linear(4, 2)),
        (2, 5),
        PLAIN,
        {"g.weight": "single unit"},
    ),
    "glu": Row(
        lambda: Net(lambda m, x: m.b(functional.glu(m.a(x))), a=Linear(5, 8), b=Linear(4, 2)),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0*2 a.weight/0*2 b.weight/1")},
    ),
    "squeeze and excitation": Row(
        lambda: Net(
            lambda m, x: m.b((h := m.a(x)) * torch.sigmoid(m.e(torch.relu(m.r(h.mean((2, 3), keepdim=True)))))),
            a=Conv(3, 6, 1), r=Conv(6, 3, 1), e=Conv(3, 6, 1), b=Conv(6, 2, 1),
        ),
        (2, 3, 4, 4),
        {
            "a": ("channel", 6, "a.bias/0 a.weight/0 r.weight/1 e.bias/0 e.weight/0 b.weight/1"),
            "r": ("channel", 3, "r.bias/0 r.weight/0 e.weight/1"),
        },
    ),
    "branches weighed by a softmax": Row(
        lambda: Net(
            lambda m, x: m.b(
                ((h := m.a(x).unflatten(1, (2, -1))) * m.e(h.sum(1)).unflatten(1, (2, -1)).softmax(1)).sum(1)
            ),
            a=Linear(5, 8), e=Linear(4, 8), b=Linear(4, 2),
        ),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0*2 a.weight/0*2 e.bias/0*2 e.weight/0*2 e.weight/1 b.weight/1")},
    ),
    "tokens are mixed": Row(
        lambda: Net(
            lambda m, x: m.o((h := m.a(x)) + m.two(functional.gelu(m.one(h.mT))).mT),
            a=Linear(5, 4), one=Linear(3, 6), two=Linear(6, 3), o=Linear(4, 2),
        ),
        (2, 3, 5),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 o.weight/1"),
            "one": ("channel", 6, "one.bias/0 one.weight/0 two.weight/1"),
        },
    ),
    "a scale per channel in a block with a norm": Row(
        lambda: Net(
            lambda m, x: m.h((y := m.s(x)) + m.scale * m.two(functional.gelu(m.one(m.n(y))))),
            s=Linear(5, 4), n=nn.LayerNorm(4), one=Linear(4, 6), two=Linear(6, 4), scale=param(4), h=Linear(4, 2),
        ),
        (2, 5),
        {"one": ("channel", 6, "one.bias/0 one.weight/0 two.weight/1")},
        {"scale": "a norm runs over it (inexact=True allows it)", "s.weight": "a norm runs over it"},
    ),
    "sums of what is zero when masked": Row(
        lambda: Net(lambda m, x: torch.relu(m.a(x)).sum(-1, keepdim=True) * m.w, a=Linear(5, 4), w=param(3)),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0")},
        {"w": "an output of the model"},
    ),
    "means, deviations and maxima over other axes": Row(
        between(lambda h: h.mean(1) + h.var(1) + h.amax(1) + h.norm(dim=1) + h.logsumexp(1) + h.prod(1)),
        (2, 3, 5),
        PLAIN,
    ),
    "softmax over other axes": Row(
        between(lambda h: h.softmax(1) + h.log_softmax(1) + h.cumsum(1) + h.sort(1)[0] + h.max(1, keepdim=True)[0]),
        (2, 3, 5),
        PLAIN,
    ),
    "rows by number": Row(
        between(lambda h: h[:, torch.tensor([2, 0])] + h.index_select(1, torch.tensor([0, 1]))), (2, 3, 5), PLAIN
    ),
    "rows by a mask": Row(
        lambda: Net(lambda m, x, k: m.b(m.a(x)[k]), a=Linear(5, 4), b=Linear(4, 2)),
        (Size((2, 3, 5)), torch.tensor([[True, False, True], [False, True, True]])),
        PLAIN,
    ),
    "gathered along another axis": Row(
        between(lambda h: h.gather(1, torch.zeros(2, 1, dtype=torch.long)[..., None].expand(-1, -1, h.shape[2]))),
        (2, 3, 5),
        PLAIN,
    ),
    "ones, zeros and copies of numbers": Row(
        between(
            lambda h: torch.cat([h, torch.zeros_like(h)], 0) + torch.ones(h.shape[1], dtype=h.dtype)
            + torch.full((h.shape[1],), 0.5, dtype=h.dtype) + torch.tensor(2.0)
        ),
        (2, 5),
        PLAIN,
    ),
    "a tensor written piece by piece": Row(
        lambda: Net(filled, a=Linear(5, 4), b=Linear(4, 2)), (2, 5), PLAIN
    ),
    "numbers by position along other axes": Row(
        between(lambda h: h + torch.arange(h.shape[1], dtype=h.dtype)[:, None] + torch.ones(3, 3).triu()[1:2].mT),
        (2, 3, 5),
        PLAIN,
    ),
    "a buffer is cut along": Row(
        buffered(lambda m, x: m.b(m.a(x) + m.table), (3, 4), a=Linear(5, 4), b=Linear(4, 2)),
        (2, 3, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1 table/1")},
    ),
    "a module called twice": Row(
        lambda: Net(lambda m, x: m.b(m.h(torch.relu(m.h(m.a(x))))), a=Linear(5, 4), h=Linear(4, 4), b=Linear(4, 2)),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 h.bias/0 h.weight/0 h.weight/1 b.weight/1")},
    ),
    "a module of two names": Row(
        lambda: (lambda one: Net(lambda m, x: m.b(m.two(m.one(x))), one=one, two=one, b=Linear(5, 2)))(Linear(5, 5)),
        (2, 5),
        {},
        {"one.weight": "an input of the model"},
    ),
    "complex parameters": Row(
        lambda: Net(
            lambda m, x: torch.view_as_real(m.a(x).to(m.c.dtype) * m.c).sum(-1) @ m.w,
            a=Linear(5, 4), c=nn.Parameter(torch.randn(4, dtype=torch.complex128)), w=param(4, 2),
        ),
        (2, 5),
        {"a": ("channel", 4, "c/0 a.bias/0 a.weight/0 w/0")},
    ),
    "several inputs, a tuple comes out": Row(
        lambda: Net(lambda m, x, y: (m.b(m.a(x) * m.c(y)), y), a=Linear(5, 4), c=Linear(3, 4), b=Linear(4, 2)),
        (Size((2, 5)), Size((2, 3))),
        PAIR,
    ),
    "inputs by name, a mapping comes out": Row(
        lambda: Net(
            lambda m, x, y: {"z": [m.b(m.a(x) + m.c(y))], "h": {"c": m.c(y)[:, :2]}},
            a=Linear(5, 4), c=Linear(3, 4), b=Linear(4, 2),
        ),
        {"x": Size((2, 5)), "y": Size((2, 3))},
        {"a": ("channel", 2, "a.bias/0 a.weight/0 b.weight/1 c.bias/0 c.weight/0")},
    ),
    "an object comes out": Row(
        lambda: Net(
            lambda m, x: Pair(m.b(torch.relu(m.a(x))), (m.c(x),)), a=Linear(5, 4), c=Linear(5, 3), b=Linear(4, 2)
        ),
        (2, 5),
        PLAIN,
        {"c.weight": "an output of the model"},
    ),
    "LSTM of two layers, both ways": Row(
        lambda: Net(
            lambda m, x: m.b(m.r(m.a(x))[0]), a=Linear(5, 4), b=Linear(6, 2),
            r=nn.LSTM(4, 3, 2, batch_first=True, bidirectional=True),
        ),
        (2, 3, 5),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 r.weight_ih_l0/1 r.weight_ih_l0_reverse/1"),
            # Zero states of one size are made for all layers and ways together: they fall together.
            "r.weight_hh_l0": ("channel", 3, " ".join(
                [f"r.{kind}_l{layer}{way}/0*4" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                 for layer in (0, 1) for way in ("", "_reverse")]
                + [f"r.weight_hh_l{layer}{way}/1" for layer in (0, 1) for way in ("", "_reverse")]
                + ["r.weight_ih_l1/1*2 r.weight_ih_l1_reverse/1*2 b.weight/1*2"])),
        },
    ),
    "GRU of one layer": Row(
        lambda: Net(
            lambda m, x: m.b(m.r(m.a(x))[0][:, -1]),
            a=Linear(5, 4), b=Linear(3, 2), r=nn.GRU(4, 3, batch_first=True),
        ),
        (2, 3, 5),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 r.weight_ih_l0/1"),
            "r.weight_hh_l0": (
                "channel", 3,
                "r.weight_ih_l0/0*3 r.weight_hh_l0/0*3 r.bias_ih_l0/0*3 r.bias_hh_l0/0*3 r.weight_hh_l0/1 b.weight/1",
            ),
        },
    ),
    "an LSTM cell": Row(
        lambda: Net(lambda m, x: m.b(m.r(m.a(x))[0]), a=Linear(5, 4), b=Linear(3, 2), r=nn.LSTMCell(4, 3)),
        (2, 5),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 r.weight_ih/1"),
            "r.weight_ih": (
                "channel", 3,
                "r.weight_ih/0*4 r.weight_hh/0*4 r.bias_ih/0*4 r.bias_hh/0*4 r.weight_hh/1 b.weight/1",
            ),
        },
    ),
}
# fmt: on
