"""Layers with weights: convolutions, linear maps, norms, embeddings, recurrent layers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.structure.nets import Net, Row, param

# fmt: off
LAYERS = {
    "linear on two axes": Row(
        lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)),
        (2, 5),
        {"0": ("channel", 6, "0.bias/0 0.weight/0 2.weight/1")},
        {"2.bias": "an output of the model"},
    ),
    "linear on four axes, without bias": Row(
        lambda: nn.Sequential(nn.Linear(5, 6, bias=False), nn.Sigmoid(), nn.Linear(6, 3)),
        (2, 2, 3, 5),
        {"0": ("channel", 6, "0.weight/0 2.weight/1")},
    ),
    "convolutions with a norm": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Conv2d(5, 2, 1)),
        (2, 3, 6, 6),
        {
            "0": ("channel", 4, "0.bias/0 0.weight/0 1.bias/0 1.running_mean/0 1.running_var/0 1.weight/0 3.weight/1"),
            "3": ("channel", 5, "3.bias/0 3.weight/0 4.weight/1"),
        },
        {"4.bias": "an output of the model"},
    ),
    "convolutions over one axis, dilated": Row(
        lambda: nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2, padding=2), nn.Tanh(), nn.Conv1d(4, 2, 1)),
        (2, 3, 6),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 2.weight/1")},
    ),
    "convolutions over three axes, strided": Row(
        lambda: nn.Sequential(nn.Conv3d(2, 4, 2, stride=2), nn.BatchNorm3d(4, affine=False), nn.Conv3d(4, 2, 1)),
        (2, 2, 4, 4, 4),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.running_mean/0 1.running_var/0 2.weight/1")},
    ),
    "an image without a batch": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)),
        (3, 4, 4),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 2.weight/1")},
    ),
    "grouped convolution: a unit is the same place of every group, or a whole group": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 6, 3, groups=2), nn.Conv2d(6, 3, 1)),
        (2, 3, 4, 4),
        {
            # Eight inputs in two groups: four places, each a pair of channels, three rows of weight for each group.
            "0": ("channel", 4, "0.bias/0*2 0.weight/0*2 1.weight/1"),
            "1": ("channel", 3, "1.bias/0*2 1.weight/0*2 2.weight/1*2"),
        },
    ),
    "a fixed filter over each channel, which the code counts": Row(
        lambda: Net(lambda m, x: m.b(functional.conv2d(h := m.a(x), m.blur, groups=h.shape[1])).sum((2, 3)),
                    a=nn.Conv2d(3, 5, 1), b=nn.Conv2d(5, 2, 1), blur=nn.Buffer(torch.rand(5, 1, 2, 2))),
        (2, 3, 4, 4),
        {"a": ("channel", 5, "a.bias/0 a.weight/0 b.weight/1 blur/0")},
    ),
    "a sum of filtered channels": Row(
        lambda: Net(lambda m, x: functional.conv2d(h := m.a(x), m.blur, groups=h.shape[1]).sum(1),
                    a=nn.Conv2d(3, 5, 1), blur=nn.Buffer(torch.rand(5, 1, 2, 2))),
        (2, 3, 4, 4),
        {"a": ("channel", 5, "a.bias/0 a.weight/0 blur/0")},
    ),
    "depthwise convolution": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 5, 3, groups=5), nn.ReLU(), nn.Conv2d(5, 2, 1)),
        (2, 3, 4, 4),
        {"0": ("channel", 5, "0.bias/0 0.weight/0 1.bias/0 1.weight/0 3.weight/1")},
    ),
    "depthwise convolution with a multiplier": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 2, 1)),
        (2, 3, 4, 4),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.bias/0*2 1.weight/0*2 3.weight/1*2")},
    ),
    "transposed convolution": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 5, 2, stride=2), nn.Conv2d(5, 2, 1)),
        (2, 3, 3, 3),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.weight/0"), "1": ("channel", 5, "1.bias/0 1.weight/1 2.weight/1")},
    ),
    "transposed grouped convolution over one axis": Row(
        lambda: nn.Sequential(nn.Conv1d(3, 8, 1), nn.ConvTranspose1d(8, 6, 2, groups=2), nn.Conv1d(6, 2, 1)),
        (2, 3, 4),
        {
            # A group has four inputs, and all groups must keep as many: four units, one input of each group.
            "0": ("channel", 4, "0.bias/0*2 0.weight/0*2 1.weight/0*2"),
            "1": ("channel", 3, "1.bias/0*2 1.weight/1 2.weight/1*2"),
        },
    ),
    "transposed depthwise convolution over three axes": Row(
        lambda: nn.Sequential(nn.Conv3d(2, 4, 1), nn.ConvTranspose3d(4, 4, 2, groups=4), nn.Conv3d(4, 2, 1)),
        (2, 2, 2, 2, 2),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.bias/0 1.weight/0 2.weight/1")},
    ),
    "residual of convolutions": Row(
        lambda: Net(
            lambda m, x: m.head(m.tail(torch.relu(h := m.stem(x)) + m.two(torch.relu(m.one(h))))),
            stem=nn.Conv2d(3, 4, 1), one=nn.Conv2d(4, 5, 3, padding=1), two=nn.Conv2d(5, 4, 1), tail=nn.BatchNorm2d(4),
            head=nn.Conv2d(4, 2, 1),
        ),
        (2, 3, 4, 4),
        {
            "stem": (
                "channel", 4,
                "head.weight/1 one.weight/1 stem.bias/0 stem.weight/0 tail.bias/0 tail.running_mean/0 "
                "tail.running_var/0 tail.weight/0 two.bias/0 two.weight/0",
            ),
            "one": ("channel", 5, "one.bias/0 one.weight/0 two.weight/1"),
        },
    ),
    "instance norm with scale": Row(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 1), nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.Conv2d(4, 2, 1)
        ),
        (2, 3, 4, 4),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.bias/0 1.running_mean/0 1.running_var/0 1.weight/0 2.weight/1")},
    ),
    "group norm: whole groups": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 8, 1), nn.GroupNorm(4, 8), nn.Conv2d(8, 2, 1)),
        (2, 3, 4, 4),
        {"0": ("channel", 4, "0.bias/0*2 0.weight/0*2 1.bias/0*2 1.weight/0*2 2.weight/1*2")},
    ),
    "layer norm inside": Row(
        lambda: nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)),
        (2, 5),
        {"2": ("channel", 4, "2.bias/0 2.weight/0 4.weight/1")},
        {"0.weight": "a norm runs over it (inexact=True allows it)", "1.bias": "a norm runs over it"},
    ),
    "rms norm inside": Row(
        lambda: nn.Sequential(nn.Linear(5, 6), nn.RMSNorm(6), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)),
        (2, 5),
        {"2": ("channel", 4, "2.bias/0 2.weight/0 4.weight/1")},
        {"0.weight": "runs over it (inexact=True allows it)"},
    ),
    "an embedding": Row(
        lambda: Net(lambda m, x: m.b(m.a(x)), a=nn.Embedding(7, 5, padding_idx=1), b=nn.Linear(5, 2)),
        torch.tensor([[1, 2, 6], [0, 1, 3]]),
        {"a": ("channel", 5, "a.weight/1 b.weight/1")},
    ),
    "an embedding tied to the classifier": Row(
        lambda: Net(
            lambda m, x: functional.linear(m.b(m.a(x)), m.a.weight), a=nn.Embedding(7, 5), b=nn.Linear(5, 5)
        ),
        torch.tensor([[1, 2, 6], [0, 1, 3]]),
        {"a": ("channel", 5, "a.weight/1 b.weight/1 b.bias/0 b.weight/0")},
    ),
    "a bilinear form of a bare parameter": Row(
        lambda: Net(lambda m, x: m.a(x) @ m.w @ m.c(x).mT, a=nn.Linear(5, 4), c=nn.Linear(5, 6), w=param(4, 6)),
        (2, 3, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 w/0"), "w": ("channel", 6, "c.bias/0 c.weight/0 w/1")},
    ),
    "prelu with one slope per channel": Row(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.PReLU(4), nn.Conv2d(4, 2, 1)),
        (2, 3, 4, 4),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 1.weight/0 2.weight/1")},
    ),
    "prelu with one slope": Row(
        lambda: nn.Sequential(nn.Linear(3, 4), nn.PReLU(), nn.Linear(4, 2)),
        (2, 3),
        {"0": ("channel", 4, "0.bias/0 0.weight/0 2.weight/1")},
        {"1.weight": "single unit"},
    ),
    "baddbmm and addmm with bare parameters": Row(
        lambda: Net(
            lambda m, x: torch.baddbmm(m.c, torch.addmm(m.bias, x, m.a).view(1, 2, -1), m.b),
            a=param(5, 4), bias=param(4), b=param(1, 4, 3), c=param(1, 2, 3),
        ),
        (2, 5),
        {"a": ("channel", 4, "a/1 b/1 bias/0")},
    ),
    "vectors": Row(
        lambda: Net(lambda m, x: torch.mv(x, m.a @ m.v) + torch.dot(m.u, m.v), a=param(5, 4), v=param(4), u=param(4)),
        (2, 5),
        {"a": ("channel", 4, "a/1 u/0 v/0")},
    ),
    "einsum": Row(
        lambda: Net(
            lambda m, x: torch.einsum("bi,ijk,bk->bj", m.a(x), m.w, m.c(x)),
            a=nn.Linear(5, 4), c=nn.Linear(5, 6), w=param(4, 3, 6),
        ),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 w/0"), "c": ("channel", 6, "c.bias/0 c.weight/0 w/2")},
        {},
    ),
}
# fmt: on
