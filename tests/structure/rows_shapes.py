"""Operators that rearrange, join and part axes, and those that run over images."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.structure.nets import Net, Row, param

Linear, Conv = nn.Linear, nn.Conv2d


def between(run, channels=4, after=None):
    """A convolution, something, a convolution."""
    return lambda: Net(lambda m, x: m.b(run(m.a(x))), a=Conv(3, channels, 1), b=Conv(after or channels, 3, 1))


def shuffled(h):
    b, c, height, width = h.shape
    return h.view(b, 2, c // 2, height, width).transpose(1, 2).reshape(b, c, height, width)


def shuffle_unit(m, x):
    left, right = m.a(x).chunk(2, 1)
    return m.b(shuffled(torch.cat([left, m.d(torch.relu(m.c(right)))], 1)))


def short_cut(m, x):
    """The shortcut without parameters of the residual networks for CIFAR: every second pixel, padded with zeros."""
    h = torch.relu(m.a(x))
    y = m.c(torch.relu(m.b(h)))
    return m.d(torch.relu(y + functional.pad(h[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))))


def dense_block(m, x):
    first = m.a(x)
    second = torch.cat([first, m.b(torch.relu(first))], 1)
    return m.d(torch.cat([second, m.c(torch.relu(second))], 1))


PAIRS = "a.bias/0*2 a.weight/0*2 b.weight/1*2"
PLAIN = {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1")}
# fmt: off
SHAPES = {
    "flatten": Row(
        lambda: nn.Sequential(Conv(3, 4, 1), nn.ReLU(), nn.Flatten(), Linear(36, 5), nn.ReLU(), Linear(5, 2)),
        (2, 3, 3, 3),
        {
            "0": ("channel", 4, "0.bias/0 0.weight/0 3.weight/1*9"),
            "3": ("channel", 5, "3.bias/0 3.weight/0 5.weight/1"),
        },
    ),
    "flatten with the channels last": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).permute(0, 2, 3, 1).flatten(1)), a=Conv(3, 4, 1), b=Linear(36, 2)),
        (2, 3, 3, 3),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1*9")},
    ),
    "movedim, swapaxes, squeeze, unsqueeze": Row(
        lambda: Net(
            lambda m, x: m.b(m.a(x)[:, :, None].squeeze(2).movedim(1, -1).swapaxes(1, 2).squeeze()),
            a=Conv(3, 4, 1), b=Linear(4, 2),
        ),
        (2, 3, 2, 5),
        PLAIN,
    ),
    "transposition in place": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).transpose_(1, 2)), a=nn.Conv1d(3, 4, 1), b=Linear(4, 2)),
        (2, 3, 5),
        PLAIN,
    ),
    "channel shuffle by reshape": Row(between(shuffled, 8), (2, 3, 2, 2), {"a": ("channel", 4, PAIRS)}),
    "channel shuffle as a layer": Row(
        lambda: nn.Sequential(Conv(3, 8, 1), nn.ChannelShuffle(2), Conv(8, 3, 1)),
        (2, 3, 2, 2),
        {"0": ("channel", 4, "0.bias/0*2 0.weight/0*2 2.weight/1*2")},
    ),
    "channel shuffle, the groups go": Row(
        lambda: nn.Sequential(Conv(3, 8, 1), nn.ChannelShuffle(4), Conv(8, 3, 1)),
        (2, 3, 2, 2),
        {"0": ("channel", 4, "0.bias/0*2 0.weight/0*2 2.weight/1*2")},
    ),
    "the unit of a shuffling network": Row(
        lambda: Net(shuffle_unit, a=Conv(3, 8, 1), c=Conv(4, 6, 1), d=Conv(6, 4, 1), b=Conv(8, 3, 1)),
        (2, 3, 2, 2),
        {
            "a": ("channel", 4, f"{PAIRS} c.weight/1 d.bias/0 d.weight/0"),
            "c": ("channel", 6, "c.bias/0 c.weight/0 d.weight/1"),
        },
    ),
    "dense connections": Row(
        lambda: Net(dense_block, a=Conv(3, 4, 1), b=Conv(4, 3, 1), c=Conv(7, 2, 1), d=Conv(9, 2, 1)),
        (2, 3, 2, 2),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1 c.weight/1 d.weight/1"),
            "b": ("channel", 3, "b.bias/0 b.weight/0 c.weight/1 d.weight/1"),
            "c": ("channel", 2, "c.bias/0 c.weight/0 d.weight/1"),
        },
    ),
    "a shortcut padded with zero channels": Row(
        lambda: Net(short_cut, a=Conv(3, 4, 1), b=Conv(4, 5, 1), c=Conv(5, 8, 2, stride=2), d=Conv(8, 2, 1)),
        (2, 3, 4, 4),
        {
            "a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1 c.bias/0 c.weight/0 d.weight/1"),
            "b": ("channel", 5, "b.bias/0 b.weight/0 c.weight/1"),
        },
    ),
    "stack and sum": Row(between(lambda h: torch.stack([h, torch.relu(h)], 1).sum(1)), (2, 3, 2, 2), PLAIN),
    "stack and flatten, one beside the other": Row(
        between(lambda h: torch.stack([h, torch.tanh(h)], 2).flatten(1, 2), 4, 8),
        (2, 3, 2, 2),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1*2")},
    ),
    "unbind over another axis": Row(between(lambda h: torch.stack(h.unbind(2)[::-1], 2)), (2, 3, 2, 2), PLAIN),
    "chunk in the middle": Row(between(lambda h: h.chunk(2, 1)[0] * h.chunk(2, 1)[1], 8, 4), (2, 3, 2, 2), {
        "a": ("channel", 4, "a.bias/0*2 a.weight/0*2 b.weight/1"),
    }),
    "split in uneven parts, by attributes": Row(
        lambda: Net(
            lambda m, x: (lambda u, v: m.b(u) + m.c(v))(*m.a(x).split([m.one, m.two], 1)),
            a=Linear(5, 8), b=Linear(3, 2), c=Linear(5, 2), one=3, two=5,
        ),
        (2, 5),
        {
            "a": ("channel", 3, "a.bias/0 a.weight/0 b.weight/1"),
            "a#2": ("channel", 5, "a.bias/0 a.weight/0 c.weight/1"),
        },
    ),
    "every second position": Row(
        lambda: Net(
            lambda m, x: m.b((h := m.a(x))[:, ::2]) + m.c(h[:, 1::2]), a=Linear(5, 8), b=Linear(4, 2), c=Linear(4, 2)
        ),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0*2 a.weight/0*2 b.weight/1 c.weight/1")},
    ),
    "a fixed part of an axis goes on": Row(
        lambda: Net(lambda m, x: m.b(m.a(x)[:, :9999]), a=Linear(5, 4), b=Linear(4, 2)), (2, 5), PLAIN
    ),
    "picked pixels": Row(between(lambda h: h[:, :, 1:].select(3, 0)[..., None]), (2, 3, 3, 2), PLAIN),
    "expanded parameters": Row(
        lambda: Net(
            lambda m, x: m.b(torch.cat([m.token.expand(len(x), -1, -1), m.a(x)], 1) + m.place),
            a=Linear(5, 4), token=param(1, 1, 4), place=param(1, 4, 4), b=Linear(4, 2),
        ),
        (2, 3, 5),
        {"a": ("channel", 4, "token/2 place/2 a.bias/0 a.weight/0 b.weight/1")},
    ),
    "repeated end to end": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).repeat(1, 2) + m.p), a=Linear(5, 4), p=param(8), b=Linear(8, 2)),
        (2, 5),
        {"a": ("channel", 4, "p/0*2 a.bias/0 a.weight/0 b.weight/1*2")},
    ),
    "repeated one by one": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).repeat_interleave(2, 1)), a=Linear(5, 4), b=Linear(8, 2)),
        (2, 5),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1*2")},
    ),
    "rolled pixels": Row(between(lambda h: h.roll((1, 1), (2, 3))), (2, 3, 3, 3), PLAIN),
    "flipped channels": Row(between(lambda h: h.flip(1)), (2, 3, 3, 3), PLAIN),
    "windows along a signal": Row(
        lambda: Net(lambda m, x: m.b(m.a(x).unfold(2, 2, 1).sum(-1)), a=nn.Conv1d(3, 4, 1), b=nn.Conv1d(4, 2, 1)),
        (2, 3, 6),
        PLAIN,
    ),
    "pixel shuffle": Row(
        between(lambda h: functional.pixel_shuffle(h, 2), 16, 4),
        (2, 3, 2, 2),
        {"a": ("channel", 4, "a.bias/0*4 a.weight/0*4 b.weight/1")},
    ),
    "pixel unshuffle": Row(
        between(lambda h: functional.pixel_unshuffle(h, 2), 4, 16),
        (2, 3, 4, 4),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1*4")},
    ),
    "unfold": Row(
        lambda: Net(lambda m, x: m.b(functional.unfold(m.a(x), 2).mT), a=Conv(3, 4, 1), b=Linear(16, 2)),
        (2, 3, 4, 4),
        {"a": ("channel", 4, "a.bias/0 a.weight/0 b.weight/1*4")},
    ),
    "fold": Row(
        lambda: Net(
            lambda m, x: m.b(functional.fold(m.a(x).mT, (4, 4), 2, stride=2)), a=Linear(5, 16), b=Conv(4, 2, 1)
        ),
        (2, 4, 5),
        {"a": ("channel", 4, "a.bias/0*4 a.weight/0*4 b.weight/1")},
    ),
    "pooling of many kinds": Row(
        between(
            lambda h: functional.max_pool2d(h, 2)
            + functional.avg_pool2d(h, 2)
            + functional.adaptive_avg_pool2d(h, 2)
            + functional.adaptive_max_pool2d(h, 2)
        ),
        (2, 3, 4, 4),
        PLAIN,
    ),
    "interpolation of many kinds": Row(
        between(
            lambda h: functional.interpolate(h, scale_factor=2, mode="bilinear")
            + functional.interpolate(h, size=(4, 4))
            + functional.interpolate(h, size=(4, 4), mode="bicubic")
        ),
        (2, 3, 2, 2),
        PLAIN,
    ),
    "padding of many kinds": Row(
        between(
            lambda h: functional.pad(h, (1, 1, 0, 0), mode="reflect") + functional.pad(h, (1, 1), value=2.0)
            + functional.pad(h, (2, 0, 0, 0), mode="replicate")
        ),
        (2, 3, 3, 3),
        PLAIN,
    ),
    "complex numbers as pairs": Row(
        lambda: Net(
            lambda m, x: m.b(torch.view_as_real(torch.view_as_complex(m.a(x).unflatten(1, (-1, 2))) * 1j).flatten(1)),
            a=Linear(5, 8), b=Linear(8, 2),
        ),
        (2, 5),
        {"a": ("channel", 4, PAIRS)},
    ),
    "windows of an image": Row(
        lambda: Net(
            lambda m, x: m.b(m.a(x).view(1, 2, 2, 2, 2, -1).transpose(2, 3).reshape(4, 4, -1)),
            a=Linear(5, 4), b=Linear(4, 2),
        ),
        (1, 4, 4, 5),
        PLAIN,
    ),
}
# fmt: on
