"""Code that cannot do without some units: just those stay, with the true place; all others may go."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import niwaki.structure.replay as replay
from niwaki.core import Size
from niwaki.structure import shrink
from niwaki.structure.blame import Search
from niwaki.structure.discover import discover
from tests.structure.nets import Net, described, random_keep, randomised, run, zeroed


def same(model, groups, x):
    for seed in range(3):
        keep = random_keep(groups, seed)
        got, wanted = run(shrink(model, groups, keep), x), run(zeroed(model, groups, keep), x)
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def counted(monkeypatch):
    """A list that grows with each smaller copy that is tried."""
    passes, real = [], replay.record_smaller

    def tried(*given):
        passes.append(given)
        return real(*given)

    monkeypatch.setattr(replay, "record_smaller", tried)
    return passes


class Mixed(nn.Module):
    """Attention with one number of heads for queries and for values, which a map between heads sets apart."""

    def __init__(self, heads):
        super().__init__()
        self.num_heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(6, 12) for _ in range(4))
        self.proj = nn.Linear(12, 6)
        self.mix = nn.Conv2d(heads, heads, 1)

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (part(x).reshape(b, n, self.num_heads, -1).transpose(1, 2) for part in (self.q, self.k, self.v))
        shares = self.mix((q @ k.mT) * 0.5)
        return x + self.proj((shares @ v).transpose(1, 2).flatten(2))


def hidden(wide=6):
    return nn.Sequential(nn.Linear(wide, 10), nn.ReLU(), nn.Linear(10, wide))


@pytest.mark.parametrize("heads", [2, 3, 4, 6])
def test_one_number_for_two_kinds_of_heads_leaves_the_hidden_channels_free(heads):
    model = randomised(nn.Sequential(Mixed(heads), hidden(), Mixed(heads), hidden()))
    x = torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    assert [(group.name, group.size) for group in groups] == [("1.0", 10), ("1.2", 6), ("3.0", 10)]
    for name in ("0.q.weight", "0.k.weight", "0.v.weight", "0.mix.weight", "2.q.bias", "2.v.bias"):
        assert "num_heads" in groups.left_out[name] or "fixes a size here" in groups.left_out[name]
        assert "the code of '0'" in groups.left_out[name] or "the code of '2'" in groups.left_out[name]
    same(model, groups, x)


def test_an_attribute_that_other_code_needs_whole_keeps_its_own_group_and_no_other():
    def both(m, x):
        one = m.b(m.a(x).view(-1, m.width))
        return m.d(m.c(one)) + x.view(-1, m.width).sum()

    parts = {"a": nn.Linear(6, 6), "b": nn.Linear(6, 5), "c": nn.Linear(5, 8), "d": nn.Linear(8, 2)}
    model = randomised(Net(both, **parts, width=6))
    x = torch.randn(2, 6).double()
    groups = discover(model, x)
    assert described(groups) == {
        "b": ("channel", 5, "b.bias/0 b.weight/0 c.weight/1"),
        "c": ("channel", 8, "c.bias/0 c.weight/0 d.weight/1"),
    }
    assert groups.left_out["a.weight"].startswith("the code of 'Net' needs 'width' as it is, which falls with")
    same(model, groups, x)


def test_a_branch_on_the_width_of_another_layer_is_laid_to_that_layer():
    def branching(m, x):
        y = m.c(x)
        y = torch.tanh(y) if m.a.weight.shape[0] == 8 else torch.relu(y)
        return m.d(y) + m.b(m.a(x))

    parts = {"a": nn.Linear(5, 8), "b": nn.Linear(8, 2), "c": nn.Linear(5, 7), "d": nn.Linear(7, 2)}
    model = randomised(Net(branching, **parts))
    x = torch.randn(3, 5).double()
    groups = discover(model, x)
    assert described(groups) == {"c": ("channel", 7, "c.bias/0 c.weight/0 d.weight/1")}
    assert groups.left_out["a.weight"] == (
        "without these units the code of 'Net' does something else "
        "(a smaller copy calls aten::relu instead of aten::tanh); nw.shrink_graph can cut it"
    )
    same(model, groups, x)


def test_of_two_axes_at_a_place_only_the_fixed_one_stays():
    def crossed(m, x):
        one, two = m.a(x), m.b(x)
        return m.d((one.unsqueeze(2) * two.unsqueeze(1)).reshape(-1, 4, two.shape[1]).sum(1))

    parts = {"a": nn.Linear(3, 4), "b": nn.Linear(3, 6), "d": nn.Linear(6, 2)}
    model = randomised(Net(crossed, **parts))
    x = torch.randn(2, 3).double()
    groups = discover(model, x)
    assert described(groups) == {"b": ("channel", 6, "b.bias/0 b.weight/0 d.weight/1")}
    assert "fixes a size here that no attribute of it controls" in groups.left_out["a.weight"]
    same(model, groups, x)


class Narrow(nn.Module):
    """Attention that takes for granted that its heads together are as wide as its input."""

    def __init__(self):
        super().__init__()
        self.num_heads = 3
        self.q, self.k, self.v, self.proj = (nn.Linear(12, 12) for _ in range(4))

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = (part(x).reshape(b, n, self.num_heads, 4).transpose(1, 2) for part in (self.q, self.k, self.v))
        return self.proj(((q @ k.mT * 0.5).softmax(-1) @ v).transpose(1, 2).reshape(b, n, c))


def test_heads_as_wide_as_the_input_stay_with_it(monkeypatch):
    passes = counted(monkeypatch)
    parts = [nn.Linear(6, 12), Narrow(), hidden(12), nn.Linear(12, 12), Narrow(), hidden(12), nn.Linear(12, 2)]
    model, x = randomised(nn.Sequential(*parts)), torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    assert [(group.name, group.size) for group in groups] == [("1.proj", 12), ("2.0", 10), ("2.2", 12), ("4.proj", 12),
                                                             ("5.0", 10), ("5.2", 12)]  # fmt: skip
    assert groups.left_out["0.bias"].startswith("the code of '1' computes a size here from that of its input, which ")
    for name in ("1.q.bias", "1.v.bias", "3.bias", "4.k.bias"):
        assert "the code of '1' " in groups.left_out[name]
    assert len(passes) < 12
    same(model, groups, x)


class Split(nn.Module):
    """Two widths of the same value, each written in an attribute of its own."""

    def __init__(self):
        super().__init__()
        self.key_dim = self.val_dim = 5
        self.qkv, self.proj = nn.Linear(6, 15), nn.Linear(5, 6)

    def forward(self, x):
        q, k, v = self.qkv(x).split([self.key_dim, self.key_dim, self.val_dim], dim=2)
        return x + self.proj((q @ k.mT * 0.3).softmax(-1) @ v)


def test_two_attributes_of_one_value_fall_each_with_its_own_units():
    torch.manual_seed(0)
    model, x = randomised(nn.Sequential(Split(), hidden())), torch.randn(2, 4, 6).double()
    groups = discover(model, x)
    assert [(group.size, group.sizes) for group in groups] == [
        (5, (Size("0", "key_dim"),)),
        (5, (Size("0", "val_dim"),)),
        (10, ()),
    ]
    same(model, groups, x)


class Pieces(nn.Module):
    """Three lengths in one split, and two other numbers that happen to have the value of one of them."""

    def __init__(self):
        super().__init__()
        self.inner, self.both, self.num_heads, self.state, self.chunk = 12, 16, 4, 4, 4
        self.a, self.b = nn.Linear(6, 32), nn.Linear(12, 6)

    def forward(self, x):
        gate, h, share = self.a(x).split([self.inner, self.both, self.num_heads], dim=2)
        wide = (gate * h[..., : self.inner]).unflatten(2, (self.num_heads, -1))
        other = h[..., self.inner :].unflatten(2, (self.num_heads, -1))
        few = x[..., : self.state].sum(-1, keepdim=True) + x[..., : self.chunk].prod(-1, keepdim=True)
        return self.b((wide * (share[..., None] + other)).flatten(2)) * few


def test_each_length_of_a_split_falls_with_an_attribute_of_its_own():
    torch.manual_seed(0)
    model, x = randomised(Pieces()), torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    assert [(group.size, sorted((s.attribute, s.per_unit) for s in group.sizes)) for group in groups] == [
        (4, [("both", 4), ("inner", 3), ("num_heads", 1)])
    ]
    same(model, groups, x)


class Product(nn.Module):
    """A length that is a product of two numbers, one of which counts the units; another divides it by chance."""

    def __init__(self):
        super().__init__()
        self.rank, self.heads, self.wide = 6, 4, 3
        self.a, self.b = nn.Linear(6, 24), nn.Linear(12, 6)

    def forward(self, x):
        one, two = self.a(x).split([self.heads * self.wide, self.heads * self.wide], dim=2)
        shares = one.unflatten(2, (self.heads, self.wide)).sum(-1, keepdim=True)
        return self.b((shares * two.unflatten(2, (self.heads, -1))).flatten(2)) / self.rank


def test_a_factor_of_a_length_falls_with_the_units_it_counts():
    torch.manual_seed(0)
    model, x = randomised(nn.Sequential(Product(), hidden())), torch.randn(2, 5, 6).double()
    groups = discover(model, x)
    assert [(group.name, group.size, group.sizes) for group in groups] == [
        ("0.a", 4, (Size("0", "heads"),)),
        ("0.b", 6, ()),
        ("1.0", 10, ()),
    ]
    same(model, groups, x)


def test_the_search_in_a_long_network_takes_few_passes(monkeypatch):
    def long(m, x):
        for place, layer in enumerate(m.layers):
            x = torch.relu(layer(x)) if place != 30 or m.layers[7].out_features == 6 else torch.tanh(layer(x))
        return x

    passes = counted(monkeypatch)
    model = randomised(Net(long, layers=nn.ModuleList(nn.Linear(6, 6) for _ in range(40))))
    x = torch.randn(2, 6).double()
    groups = discover(model, x)
    assert [group.name for group in groups] == [f"layers.{place}" for place in range(39) if place != 7]
    assert "without these units the code of 'Net' does something else" in groups.left_out["layers.7.bias"]
    assert len(passes) < 16  # six to halve 39 groups, a few for guesses; not one for each group
    same(model, groups, x)


def test_a_search_that_may_not_go_on_leaves_what_it_could_not_tell_apart(monkeypatch):
    monkeypatch.setattr(replay, "Search", lambda modules, tried: Search(modules, tried, left=1))

    def branching(m, x):
        y = m.layers[3](x)
        y = torch.tanh(y) if m.layers[4].out_features == 6 else torch.relu(y)
        return torch.cat([m.out[3](y), *(m.out[k](m.layers[k](x)) for k in (0, 1, 2, 4, 5))], 1)

    layers, out = (nn.ModuleList(nn.Linear(*sizes) for _ in range(6)) for sizes in ((5, 6), (6, 2)))
    model = randomised(Net(branching, layers=layers, out=out))
    x = torch.randn(3, 5).double()
    groups = discover(model, x)
    # One halving tells that the first three of six groups do no harm.
    assert [group.name for group in groups] == ["layers.0", "layers.1", "layers.2"]
    for place in (3, 4, 5):
        assert groups.left_out[f"layers.{place}.bias"].startswith(
            "without some of these units, which could not be told apart, the code of 'Net' does something else "
        )
    same(model, groups, x)
