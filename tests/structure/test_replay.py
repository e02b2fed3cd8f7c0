"""Sizes of the code: attributes that hold one fall along, numbers that do not are left alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.core import Size
from niwaki.structure import shrink
from niwaki.structure.discover import discover
from tests.structure.nets import Net, described, random_keep, randomised, run, zeroed


class Attention(nn.Module):
    """As many write it: a fused map, heads and their width as attributes."""

    def __init__(self, heads=4, wide=3):
        super().__init__()
        self.num_heads, self.head_dim, self.layer_idx, self.mark = heads, wide, heads, heads
        self.qkv, self.proj = nn.Linear(6, 3 * heads * wide), nn.Linear(heads * wide, 6)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        shares = (q @ k.mT * 0.5).softmax(-1)
        return x + self.proj((shares @ v).transpose(1, 2).reshape(b, n, self.num_heads * self.head_dim))


def same(model, groups, x):
    for seed in range(4):
        keep = random_keep(groups, seed)
        got, wanted = run(shrink(model, groups, keep), x), run(zeroed(model, groups, keep), x)
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("heads", "wide"), [(4, 3), (4, 4), (2, 6)])
def test_the_number_of_heads_falls_and_nothing_else(heads, wide):
    torch.manual_seed(0)
    model, x = randomised(nn.Sequential(Attention(heads, wide), Attention(heads, wide))), torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    words = f"{{0}}.qkv.weight/0*{3 * wide} {{0}}.qkv.bias/0*{3 * wide} {{0}}.proj.weight/1*{wide}"
    assert described(groups) == {
        name: ("head", heads, " ".join(sorted(words.format(name).split()))) for name in ("0", "1")
    }
    assert [group.sizes for group in groups] == [(Size("0", "num_heads"),), (Size("1", "num_heads"),)]
    keep = {group.name: torch.arange(heads) == 0 for group in groups}
    small = shrink(model, groups, keep)
    for block in small:
        assert (block.num_heads, block.head_dim, block.layer_idx, block.mark) == (1, wide, heads, heads)
    same(model, groups, x)


def test_a_width_in_a_view_falls_by_all_its_positions():
    torch.manual_seed(0)
    model = randomised(
        Net(lambda m, x: m.b(m.a(x).view(-1, m.width)), a=nn.Conv2d(3, 4, 1), b=nn.Linear(36, 2), width=36, mark=4)
    )
    x = torch.randn(2, 3, 3, 3).double()
    groups = discover(model, x)
    assert groups[0].sizes == (Size("", "width", 9),)
    assert shrink(model, groups, {"a": torch.tensor([True, False, True, False])}).width == 18
    same(model, groups, x)


def test_an_attribute_that_also_scales_is_no_size():
    model = randomised(
        Net(lambda m, x: m.b(m.a(x).view(-1, m.width) / m.width), a=nn.Conv2d(3, 4, 1), b=nn.Linear(36, 2), width=36)
    )
    groups = discover(model, torch.randn(2, 3, 3, 3).double())
    assert len(groups) == 0
    assert groups.left_out["a.weight"].startswith(
        "the code of 'Net' fixes a size here that no attribute of it controls"
    )


def test_the_reason_names_the_module_and_what_happened():
    model = nn.Sequential(
        nn.Linear(5, 8), Net(lambda m, x: x.reshape(-1, 2, 4).flatten(1)), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2)
    )
    groups = discover(model, torch.zeros(3, 5))
    assert described(groups) == {"2": ("channel", 6, "2.bias/0 2.weight/0 4.weight/1")}
    why = groups.left_out["0.weight"]
    assert why.startswith("the code of '1' fixes a size here that no attribute of it controls (a smaller copy ")
    assert groups.left_out["0.bias"] == why


def test_only_the_module_with_the_fixed_size_is_left_out():
    class Fixed(Attention):
        def forward(self, x):
            b, n, _ = x.shape
            q, k, v = self.qkv(x).view(b, n, 3, 4, 3).permute(2, 0, 3, 1, 4)
            return x + self.proj(((q @ k.mT).softmax(-1) @ v).transpose(1, 2).reshape(b, n, 12))

    torch.manual_seed(0)
    model, x = randomised(nn.Sequential(Attention(), Fixed(), Attention())), torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    assert [group.name for group in groups] == ["0", "2"]
    assert "the code of '1' fixes a size" in groups.left_out["1.qkv.weight"]
    same(model, groups, x)


def test_a_forward_that_chooses_by_size_is_found_out():
    def choosing(m, x):
        h = m.a(x)
        return m.b(torch.sigmoid(h) if h.shape[1] == 8 else torch.relu(h))

    groups = discover(Net(choosing, a=nn.Linear(5, 8), b=nn.Linear(8, 2)), torch.zeros(2, 5))
    assert len(groups) == 0
    assert "(a smaller copy calls aten::relu instead of aten::sigmoid)" in groups.left_out["a.weight"]


def test_a_forward_that_goes_round_once_per_unit_is_found_out():
    def counting(m, x):
        h = m.a(x)
        for _ in range(h.shape[1]):
            x = x + 1
        return m.b(h) + x.sum()

    groups = discover(Net(counting, a=nn.Linear(5, 4), b=nn.Linear(4, 2)), torch.zeros(2, 5))
    assert len(groups) == 0
    assert groups.left_out["a.weight"].startswith(
        "without these units the code of 'Net' does something else (a smaller "
    )


def test_a_proof_does_not_touch_the_model():
    model = nn.Sequential(Attention(), Attention())
    before = {name: (id(t), t.shape) for name, t in model.named_parameters()}
    discover(model, torch.zeros(2, 5, 6))
    assert {name: (id(t), t.shape) for name, t in model.named_parameters()} == before
    assert model[0].num_heads == 4
