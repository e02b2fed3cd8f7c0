"""Random networks with residuals, concatenations and splits: cutting is masking."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from niwaki.structure import shrink
from niwaki.structure.discover import discover
from tests.structure.nets import random_keep, randomised, run, zeroed


class Wired(nn.Module):
    """Steps over a growing list of tensors; each makes one from earlier ones."""

    def __init__(self, steps):
        super().__init__()
        self.steps, widths, layers = steps, [3], []
        for kind, one, two, wide in steps:
            a, b = widths[one % len(widths)], widths[two % len(widths)]
            made = {"conv": wide, "add": wide, "cat": a + b, "split": a // 2 if a % 2 == 0 else a}.get(kind, a)
            groups = 2 if kind == "norm" and a % 2 == 0 else 1
            parts: dict[str, list[nn.Module]] = {
                "conv": [nn.Conv2d(a, wide, 1)],
                "add": [nn.Conv2d(a, wide, 1), nn.Conv2d(b, wide, 1)],
            }
            parts["norm"] = [nn.BatchNorm2d(a), nn.Conv2d(a, a, 1, groups=groups)]
            layers.append(nn.ModuleList(parts.get(kind, [])))
            widths.append(made)
        self.layers, self.head = nn.ModuleList(layers), nn.Conv2d(sum(widths[-2:]), 2, 1)

    def forward(self, x):
        made = [x]
        for (kind, one, two, _), layer in zip(self.steps, self.layers, strict=True):
            a, b = made[one % len(made)], made[two % len(made)]
            if kind == "conv":
                made.append(torch.relu(layer[0](a)))
            elif kind == "add":
                made.append(torch.sigmoid(layer[0](a) + layer[1](b)))
            elif kind == "norm":
                made.append(layer[1](layer[0](a)) + a)
            elif kind == "cat":
                made.append(torch.cat([a, b], 1))
            elif a.shape[1] % 2 == 0:
                made.append(a.chunk(2, 1)[0] * a.chunk(2, 1)[1])
            else:
                made.append(a)
        return self.head(torch.cat(made[-2:], 1))


steps = st.lists(
    st.tuples(
        st.sampled_from(["conv", "add", "norm", "cat", "split"]),
        st.integers(0, 9), st.integers(0, 9), st.integers(2, 5),
    ),
    min_size=2, max_size=7,
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(steps=steps, seed=st.integers(0, 1000))
def test_cutting_is_masking(steps, seed):
    torch.manual_seed(0)
    model, x = randomised(Wired(steps)), torch.randn(2, 3, 2, 2).double()
    groups = discover(model, x)
    if len(groups):
        keep = random_keep(groups, seed)
        got, wanted = run(shrink(model, groups, keep), x), run(zeroed(model, groups, keep), x)
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
