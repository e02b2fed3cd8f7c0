"""LAST: what goes first, what a layer's gain does, where it ends."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import niwaki as nw
from niwaki.core import BudgetError, SignalError
from niwaki.zoo import S5Layer, s4d, s5


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Stack(nn.Module):
    """S5 layers, each followed by a norm that undoes any factor on its output."""

    def __init__(self, layers: int = 3, width: int = 6, states: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            S5Layer(width, states, steps=(0.01, 0.5), generator=_seeded(i)) for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            y = layer(x)
            x = torch.tanh((y - y.mean(-1, keepdim=True)) / y.std(-1, keepdim=True))
        return x


def _counts(keep: dict[str, Tensor]) -> list[int]:
    return [int(row.sum()) for row in keep.values()]


@pytest.mark.parametrize("net", [s5, s4d])
@pytest.mark.parametrize("dead", [1, 3, 5])
def test_dead_states_go_first_and_nothing_changes(net, dead):
    model = net(width=4, states=16, layers=2, generator=_seeded()).double().eval()
    places = torch.randperm(8, generator=_seeded(1))[:dead]
    with torch.no_grad():
        model.blocks[1].ssm.C[:, places] = 0
    keep = nw.last(model, density=(16 - dead) / 16)
    assert bool(keep["blocks.0.ssm"].all())
    assert (~keep["blocks.1.ssm"]).nonzero().flatten().tolist() == sorted(places.tolist())
    x = torch.randn(3, 20, 1, dtype=torch.float64, generator=_seeded(2))
    torch.testing.assert_close(nw.shrink(model, nw.states(model), keep)(x), model(x), rtol=1e-12, atol=1e-12)


def test_a_gain_that_the_next_norm_undoes_changes_nothing_for_last_and_starves_a_global_ranking():
    model = _Stack().double()
    loud = copy.deepcopy(model)
    with torch.no_grad():
        loud.layers[1].C.mul_(100), loud.layers[1].D.mul_(100)
    x = torch.randn(2, 15, 6, dtype=torch.float64, generator=_seeded(9))
    torch.testing.assert_close(loud(x), model(x), rtol=1e-9, atol=1e-9)  # the same function
    for density in (0.75, 0.5, 0.25):
        before, after = (nw.last(net, density=density) for net in (model, loud))
        assert all(torch.equal(before[name], after[name]) for name in before)
    raw = nw.HInfinity()
    quiet, starved = (_counts(nw.last(net, density=0.4, criterion=raw)) for net in (model, loud))
    assert starved[1] == 16  # all of the loud layer stays
    assert starved[0] < quiet[0] and starved[2] < quiet[2]


def test_density_one_is_all_and_the_least_is_one_state_a_layer():
    model = s5(width=4, states=(8, 16, 24), layers=3, generator=_seeded())
    assert all(bool(row.all()) for row in nw.last(model, density=1.0).values())
    least = nw.last(model, density=3 / 24)
    assert _counts(least) == [1, 1, 1]
    scores = nw.score(nw.HInfinity(), model, nw.states(model))
    assert [int(row.nonzero()) for row in least.values()] == [int(s.argmax()) for s in scores.values()]
    with pytest.raises(BudgetError, match="asks for 2 of 24 units, but the groups can keep 3 to 24"):
        nw.last(model, density=2 / 24)


@pytest.mark.parametrize("count", range(3, 25))
def test_the_count_is_exact_and_the_kept_states_nest(count):
    model = s5(width=4, states=(8, 16, 24), layers=3, generator=_seeded())
    keep, more = nw.last(model, density=count / 24), nw.last(model, density=min(24, count + 1) / 24)
    assert sum(_counts(keep)) == count
    assert all(bool((keep[name] <= more[name]).all()) for name in keep)


def test_equal_states_go_by_layer_and_index():
    model = s5(width=2, states=8, layers=2, generator=_seeded())
    first, second = (block.ssm for block in model.blocks)
    with torch.no_grad():
        for name in ("lambda_re", "lambda_im", "log_step", "B"):
            parameter = getattr(first, name)
            parameter.copy_(parameter[:1].expand(parameter.shape))
        first.C.copy_(first.C[:, :1].expand(first.C.shape))
    second.load_state_dict(first.state_dict())
    # Shares 1, 1/2, 1/3, 1/4 in both layers: of equal ones the earlier layer, the lower index.
    assert {n: row.tolist() for n, row in nw.last(model, density=5 / 8).items()} == {
        "blocks.0.ssm": [True, True, True, False],
        "blocks.1.ssm": [True, True, False, False],
    }


def test_it_is_the_published_procedure():
    # In the paper's own words: sort ascending, sums of what is larger, divide, one threshold over all layers.
    model = s5(width=5, states=(16, 32), layers=2, bidirectional=True, generator=_seeded(3))
    scores = nw.score(nw.HInfinity(), model, nw.states(model))
    shares = {}
    for name, h in scores.items():
        values = h.tolist()
        shares[name] = [v / sum(w for w in values if w >= v) for v in values]
    count = int(24 * (100 - 40) / 100)
    threshold = sorted((s for row in shares.values() for s in row), reverse=True)[count - 1]
    expected = {name: [s >= threshold for s in row] for name, row in shares.items()}
    assert {name: row.tolist() for name, row in nw.last(model, density=count / 24).items()} == expected


def test_criterion_and_allocator_can_be_others():
    model = s5(width=4, states=(8, 24), layers=2, generator=_seeded())
    uniform = nw.last(model, density=0.5, criterion=nw.HInfinity(), allocator=nw.Uniform())
    assert _counts(uniform) == [2, 6]
    chance = [nw.last(model, density=0.5, criterion=nw.Random(), seed=seed) for seed in (0, 0, 1)]
    assert all(torch.equal(chance[0][n], chance[1][n]) for n in uniform)
    assert not all(torch.equal(chance[0][n], chance[2][n]) for n in uniform)
    batch = (torch.randn(6, 9, 1), torch.arange(6))
    by_loss = nw.last(model, density=0.5, criterion=nw.Taylor(), batches=[batch], loss=nn.functional.cross_entropy)
    assert sum(_counts(by_loss)) == 8


def test_nothing_is_changed_and_an_unstable_state_is_an_error():
    model = s5(width=4, states=8, layers=2, clip=False, generator=_seeded())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    nw.last(model, density=0.5)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    with torch.no_grad():
        model.blocks[1].ssm.lambda_re[0] = 0.01
    with pytest.raises(SignalError, match=r"1 of 4 modes of group 'blocks.1.ssm' are not stable .*Clip the real parts"):
        nw.last(model, density=0.5)


@pytest.mark.slow
def test_a_trained_network_keeps_its_accuracy_without_retraining():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    digits = datasets.load_digits()
    x = (torch.tensor(digits.data, dtype=torch.float32) / 8 - 1).reshape(-1, 8, 8)  # eight rows, one a step
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    model = s5(channels=8, width=24, states=64, layers=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(400):
        pick = torch.randint(0, 1400, (64,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[pick]), y[pick]).backward()
        optimizer.step()
    groups = nw.states(model.eval())

    def right(density: float, criterion: nw.TailShare | nw.Random) -> float:
        small = nw.shrink(model, groups, nw.last(model, groups, density=density, criterion=criterion))
        return float((small(x[1400:]).argmax(1) == y[1400:]).float().mean())

    dense = right(1.0, nw.Random())
    assert dense > 0.9
    for criterion in (nw.TailShare(nw.HInfinity()), nw.TailShare(nw.H2())):
        assert right(0.8, criterion) > dense - 0.05
        assert right(0.3, criterion) > right(0.3, nw.Random()) + 0.1
