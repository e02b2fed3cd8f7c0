"""Groups of states: what they hold, what removing them does, what is refused."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import DiagonalSystem, Dynamics, GroupError, Slice, check_groups, gather, parameters_of, tensor_masks
from niwaki.structure.families.linear_states import conjugate_pairs
from niwaki.zoo import S4DLayer, S5Layer, s4d, s5

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def masked(model, groups, keep):
    """The model with the slices of all removed units at zero."""
    found = copy.deepcopy(model)
    with torch.no_grad():
        for name, mask in tensor_masks(groups, keep).items():
            found.get_parameter(name).mul_(mask)
    return found


def some_kept(groups, seed=0):
    """About half of the units of every group, at least one."""
    generator = torch.Generator().manual_seed(seed)
    keep = {g.name: torch.rand(g.size, generator=generator) < 0.5 for g in groups}
    for row in keep.values():
        row[-1] = True
    return keep


def widest(one, other, x):
    with torch.no_grad():
        return float((one(x) - other(x)).abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("conjugate", [False, True])
@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_a_masked_s5_is_the_smaller_s5(dtype, bidirectional, conjugate, discretisation):
    model = s5(
        width=6, states=(8, 12), layers=2, bidirectional=bidirectional, conjugate=conjugate,
        discretisation=discretisation, generator=torch.Generator().manual_seed(0),
    ).to(dtype).eval()  # fmt: skip
    groups = nw.states(model)
    check_groups(groups, parameters_of(model))
    assert [g.size for g in groups] == [4, 6]  # a conjugate pair is one unit, stored once or twice
    keep = some_kept(groups)
    small = nw.shrink(model, groups, keep)
    x = torch.randn(2, 30, 1, dtype=dtype, generator=torch.Generator().manual_seed(1))
    assert widest(masked(model, groups, keep), small, x) < TOLERANCE[dtype]
    assert widest(model, small, x) > 1e-3
    stored = 1 if conjugate else 2
    for block, row in zip(small.blocks, keep.values(), strict=True):
        left = stored * int(row.sum())
        assert block.ssm.states == left
        assert [tuple(p.shape) for p in (block.ssm.lambda_re, block.ssm.log_step)] == [(left,), (left,)]
        assert block.ssm.B.shape == (left, 6, 2)
        assert block.ssm.C.shape == (6, left * (2 if bidirectional else 1), 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_masked_s4d_is_the_smaller_s4d(dtype):
    model = s4d(width=6, states=8, layers=2, generator=torch.Generator().manual_seed(0)).to(dtype).eval()
    groups = nw.states(model)
    keep = some_kept(groups)
    small = nw.shrink(model, groups, keep)
    x = torch.randn(2, 30, 1, dtype=dtype, generator=torch.Generator().manual_seed(1))
    assert widest(masked(model, groups, keep), small, x) < TOLERANCE[dtype]
    assert small.blocks[0].ssm.C.shape == (6, int(keep["blocks.0.ssm"].sum()), 2)
    assert small.blocks[0].ssm.log_step.shape == (6,)  # the step belongs to the channel


@pytest.mark.parametrize("net", [s5, s4d])
def test_all_states_zero_is_finite_and_leaves_the_rest(net):
    model = net(width=4, states=4, layers=1, generator=torch.Generator().manual_seed(0)).double()
    groups = nw.states(model)
    none = {g.name: torch.zeros(g.size, dtype=torch.bool) for g in groups}
    empty, layer = masked(model, groups, none), model.blocks[0].ssm
    u = torch.randn(2, 9, 4, dtype=torch.float64)
    torch.testing.assert_close(empty.blocks[0].ssm(u), layer.D * u, rtol=0, atol=0)


def test_what_is_masked_and_what_is_only_cut():
    (group,) = nw.states(s5(width=3, states=4, layers=1, bidirectional=True))
    name = "blocks.0.ssm"
    assert [(w.tensor, w.dim) for w in group.slices] == [(f"{name}.B", 0), (f"{name}.C", 1)]
    assert {w.tensor for w in group.buffers} == {f"{name}.{n}" for n in ("lambda_re", "lambda_im", "log_step")}
    assert group.kind == "state" and group.exact
    numbers = torch.arange(3 * 4 * 2).reshape(3, 4, 2)  # C: three outputs, two states in both directions, two parts
    owned = [sorted(row) for row in gather(group.slices[1], numbers).tolist()]
    # Row h begins at 8 h; state 0 has columns 0 and 2, that is places 0, 1, 4, 5, and state 1 the others.
    assert owned == [[8 * h + c for h in range(3) for c in places] for places in ((0, 1, 4, 5), (2, 3, 6, 7))]


def test_single_states_of_s4d_channels_are_masked_exactly_and_not_cut():
    model = s4d(width=3, states=8, layers=1, generator=torch.Generator().manual_seed(0)).double()
    groups = nw.states(model, per_channel=True)
    assert [g.size for g in groups] == [3 * 4]
    keep = {"blocks.0.ssm": torch.ones(12, dtype=torch.bool)}
    keep["blocks.0.ssm"][4 + 2] = False  # channel 1, state 2
    found = masked(model, groups, keep).blocks[0].ssm.C == 0
    assert found.nonzero().tolist() == [[1, 2, 0], [1, 2, 1]]
    with pytest.raises(GroupError, match="states inside of 'blocks.0.ssm.C': they can be masked, not cut out"):
        nw.shrink(model, groups, keep)


def test_aligned_states_are_the_same_function_best_first():
    model = s4d(width=5, states=12, layers=2, generator=torch.Generator().manual_seed(0)).double()
    x = torch.randn(2, 20, 1, dtype=torch.float64)
    before = model(x).detach()
    each = nw.states(model, per_channel=True)
    nw.align_states(model, each, nw.score(nw.HInfinity(), model, each))
    torch.testing.assert_close(model(x), before, rtol=1e-10, atol=1e-12)
    for scores in nw.score(nw.HInfinity(), model, each).values():
        rows = scores.reshape(5, 6)
        assert bool((rows[:, :-1] >= rows[:, 1:]).all())
    with pytest.raises(
        GroupError, match=r"group 'blocks.0.ssm' has no states of single channels to sort; make the gro"
    ):
        nw.align_states(model, nw.states(model), {})


def test_states_of_one_layer_by_itself():
    layer = S5Layer(3, 8, generator=torch.Generator().manual_seed(0)).double()
    groups = nw.states(layer)
    keep = {"states": torch.tensor([True, False, False, True])}
    small = nw.shrink(layer, groups, keep)
    u = torch.randn(1, 12, 3, dtype=torch.float64)
    assert small.states == 2
    assert widest(masked(layer, groups, keep), small, u) < 1e-10
    assert [g.size for g in nw.states(S4DLayer(3, 8))] == [4]


def test_pairs_are_found_however_they_lie():
    poles = torch.tensor([-0.5 + 3j, -0.5 - 1j, -0.5 + 1j, -0.5 - 3j])
    assert conjugate_pairs(poles).tolist() == [[0, 3], [1, 2]]
    drifted = poles + torch.tensor([0.05, -0.02j, 0.03j, 0.0])
    assert conjugate_pairs(drifted).tolist() == [[0, 3], [1, 2]]
    assert conjugate_pairs(poles[:3]) is None  # an odd one
    assert conjugate_pairs(torch.tensor([-0.5 + 3j, -0.5 + 1j])) is None  # strangers


def test_a_layer_of_your_own_by_an_adapter():
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.decay, self.read = nn.Parameter(torch.tensor([0.5, 0.9])), nn.Parameter(torch.tensor([3.0, 1.0]))

        def forward(self, u):
            return sum(c * d**t * u for t in range(3) for d, c in zip(self.decay, self.read, strict=True))

    def adapter(name, module, per_channel):
        if not isinstance(module, Leaky):
            return None

        def system(of):
            one = torch.ones(2, 1, dtype=torch.float64)
            c = of(f"{name}.read").reshape(1, 2, 1, 1)
            return DiagonalSystem(of(f"{name}.decay")[:, None], one, one[..., None], c, "discrete")

        index = torch.arange(2)[:, None]
        where, pole = Slice(f"{name}.read", (2,), dim=0, index=index), Slice(f"{name}.decay", (2,), dim=0, index=index)
        dynamics = Dynamics((f"{name}.decay", f"{name}.read"), system)
        return nw.Group(name, 2, (where,), kind="state", buffers=(pole,), dynamics=dynamics)

    model = nn.Sequential(Leaky())
    groups = nw.states(model, adapters=[adapter])
    # (3 / 0.5)^2 = 36 and (1 / 0.1)^2 = 100
    assert nw.score(nw.HInfinity(eps=0), model, groups)["0"].tolist() == pytest.approx([36, 100], rel=1e-5)
    small = nw.shrink(model, groups, nw.last(model, groups, density=0.5))
    assert small[0].decay.tolist() == pytest.approx([0.9])


def test_what_is_not_diagonal_is_refused_with_its_reason():
    model = nn.Sequential(nn.GRU(3, 3), S4DLayer(3, 4))
    groups = nw.states(model)
    assert groups.left_out == {"0": "GRU mixes its states in a full matrix; none of them stands alone"}
    with pytest.raises(
        GroupError, match=r"LSTM has no states that can be pruned \(LSTM: LSTM mixes its states in a full"
    ):
        nw.states(nn.LSTM(2, 2))
    with pytest.raises(GroupError, match="Linear has no states that can be pruned .known are S5Layer.*give adapters="):
        nw.states(nn.Linear(2, 2))
    coupled = type("SSMKernelDPLR", (nn.Module,), {})()
    with pytest.raises(GroupError, match="a low-rank term couples its states; the gain of one alone says nothing"):
        nw.states(nn.Sequential(coupled))


def test_every_kind_of_criterion_scores_states():
    model = s5(width=4, states=8, layers=2, generator=torch.Generator().manual_seed(0))
    groups = nw.states(model)
    x, y = torch.randn(8, 10, 1), torch.arange(8)
    chance = torch.Generator().manual_seed(0)
    for criterion in (nw.Magnitude(), nw.Taylor(), nw.Fisher(), nw.Random(), nw.Lamp(), nw.Movement(), nw.H2()):
        scores = nw.score(criterion, model, groups, [(x, y)], nn.functional.cross_entropy, generator=chance)
        assert [len(s) for s in scores.values()] == [4, 4], criterion
    magnitude = nw.score(nw.Magnitude(), model, groups)["blocks.1.ssm"][2]
    layer = model.blocks[1].ssm
    by_hand = math.sqrt(sum(v**2 for part in (layer.B[2], layer.C[:, 2]) for v in part.detach().flatten().tolist()))
    assert float(magnitude) == pytest.approx(by_hand, rel=1e-6)


def test_states_can_be_pruned_and_grown_while_training():
    model = s5(classes=2, width=4, states=16, layers=2, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    groups = nw.states(model)
    sparsifier = nw.iee(model, groups, density=0.5, steps=30, H=3, J=2, Q=2, criterion=nw.Taylor()).attach(optimizer)
    x, y = torch.randn(16, 10, 1), torch.arange(16) % 2
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    keep = sparsifier.keep
    assert sum(int(row.sum()) for row in keep.values()) == 8
    assert widest(model.eval(), nw.shrink(model, groups, keep), x) < 1e-5


def test_scores_from_poles_can_steer_training():
    model = s5(classes=2, width=4, states=16, layers=2, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    groups = nw.states(model)
    last = nw.TailShare(nw.HInfinity())
    sparsifier = nw.gmp(model, groups, density=0.5, steps=20, every=5, criterion=last, allocator=nw.Global())
    sparsifier.attach(optimizer)
    x, y = torch.randn(16, 10, 1), torch.arange(16) % 2
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert sum(int(row.sum()) for row in sparsifier.keep.values()) == 8
    gone = ~sparsifier.keep["blocks.0.ssm"]
    layer = model.blocks[0].ssm
    assert not layer.B[gone].any() and not layer.C[:, gone].any() and bool((layer.lambda_re != 0).all())


def test_a_smaller_model_survives_the_way_through_a_file(tmp_path):
    def make():
        return s5(width=4, states=8, layers=2, bidirectional=True, generator=torch.Generator().manual_seed(0))

    model = make().eval()
    groups = nw.states(model)
    small = nw.shrink(model, groups, nw.last(model, groups, density=0.5))
    nw.save(small, tmp_path / "small")
    loaded = nw.load(make(), tmp_path / "small").eval()
    x = torch.randn(2, 20, 1)
    assert torch.equal(loaded(x), small(x))
    assert [b.ssm.states for b in loaded.blocks] == [b.ssm.states for b in small.blocks]
