"""States of state-space models under the methods that train: every one of them, down to a smaller model that agrees."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.zoo.s4d import s4d
from niwaki.zoo.s5 import s5

STEPS = 60
X = torch.randn(8, 12, 1, generator=torch.Generator().manual_seed(1))
Y = (X.sum((1, 2)) > 0).long()
NETS = {"s5": s5, "s4d": s4d}
METHODS = {
    "iee": lambda net, groups: nw.iee(net, groups, density=0.5, steps=STEPS, H=4, J=4, Q=2),
    "iee, a budget": lambda net, groups: nw.iee(
        net, groups, budget=nw.Parameters(0.8, nw.counted(net, X).parameters), steps=STEPS, H=4, J=4, Q=2
    ),
    "halp": lambda net, groups: nw.halp(
        net, groups, budget=nw.Parameters(0.8, nw.counted(net, X).parameters), steps=STEPS, every=4, events=3
    ),
    "gmp": lambda net, groups: nw.gmp(net, groups, density=0.5, steps=STEPS, every=4),
    "sparse_evolution": lambda net, groups: nw.sparse_evolution(net, groups, density=0.5, steps=STEPS, every=4),
    "acdc": lambda net, groups: nw.acdc(net, groups, density=0.5, steps=STEPS),
    "static": lambda net, groups: nw.static(net, groups, density=0.5, steps=STEPS),
}


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_states_are_trained_and_go(kind, method):
    torch.manual_seed(0)
    net = NETS[kind](channels=1, classes=2, width=6, states=16, layers=2, generator=torch.Generator().manual_seed(0))
    dense = sum(parameter.numel() for parameter in net.parameters())
    groups = nw.states(net)
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    sparsifier = METHODS[method](net, groups).attach(optimizer)
    before = nn.functional.cross_entropy(net(X), Y).item()
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()
    sparsifier.detach()
    net.eval()
    keep = sparsifier.keep
    assert nn.functional.cross_entropy(net(X), Y).item() < before
    stay, all_of = sum(int(row.sum()) for row in keep.values()), sum(group.size for group in groups)
    small = nw.shrink(net, groups, keep)
    left = sum(parameter.numel() for parameter in small.parameters())
    if method in ("halp", "iee, a budget"):
        assert left <= 0.8 * dense and 0 < stay < all_of
    else:
        assert stay == all_of // 2 and left < dense
    # Nothing of what went is left in the trained model: cutting changes nothing.
    torch.testing.assert_close(small(X), net(X), rtol=1e-4, atol=1e-5)
