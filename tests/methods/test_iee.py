"""The invariants and exact tests of the method's specification."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from niwaki.core import BudgetError, TrainError
from niwaki.criteria import Gradient, Random, Taylor
from niwaki.methods import iee, static
from niwaki.moves.drop import Drop
from niwaki.moves.grow import Grow
from niwaki.moves.schedules import constant
from niwaki.structure.declare import weights
from niwaki.train.sparsifier import Sparsifier

from ..train.loops import batch, momentum, net, train


def sgd(model: nn.Module, **more: float) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, **{"momentum": 0.9, "weight_decay": 1e-3} | more)


def counts(sparsifier: Sparsifier) -> dict[str, int]:
    return {name: int(keep.sum()) for name, keep in sparsifier.keep.items()}


@pytest.mark.parametrize("grow_init", ["mru", "explored", "zero"])
def test_layer_scope_keeps_the_count_of_every_layer_over_each_cycle(grow_init):
    model = net()
    sparsifier = iee(
        model, weights(model), density=0.2, steps=80, H=6, J=5, Q=4, grow_init=grow_init, swap=constant(0.3)
    )
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    before, seen = counts(sparsifier), []
    train(model, optimizer, range(80), watch=lambda step: seen.append((step, sparsifier.stage, counts(sparsifier))))
    assert all(now == before for step, stage, now in seen if stage in ("estimate", "train"))
    sparser = [sum(now.values()) for _, stage, now in seen if stage in ("improve", "explore")]
    assert sparser
    assert all(count < sum(before.values()) for count in sparser)
    assert [record["move"] for record in sparsifier.history] == ["drop", "explore", "grow"] * 4
    nonzero = sum(int((model.get_parameter(n) != 0).sum()) for n in before)
    assert nonzero <= sum(before.values()) == round(0.2 * sum(g.size for g in sparsifier.groups))


def test_global_scope_keeps_the_sum_and_lets_the_layers_drift():
    model = net()
    sparsifier = iee(
        model, weights(model), density=0.3, steps=90, H=6, J=5, Q=4, scope="global", normalise="layer_l2", alpha=0.5
    )
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    before = counts(sparsifier)
    train(model, optimizer, range(90))
    assert sum(counts(sparsifier).values()) == sum(before.values())
    after_cycles = [record["densities"] for record in sparsifier.history if record["move"] == "grow"]
    assert any(after_cycles[0] != later for later in after_cycles[1:])
    floor = {g.name: max(1, -(-g.size // 200)) for g in sparsifier.groups}
    assert all(count >= floor[name] for name, count in counts(sparsifier).items())


def frozen_parts(model: nn.Module, optimizer: torch.optim.Optimizer, sparsifier: Sparsifier) -> dict[str, Tensor]:
    masks = sparsifier.masks()
    parts = {f"value of {n}": p[masks[n]] if n in masks else p for n, p in model.named_parameters()}
    parts |= {f"buffer {n}": b for n, b in model.named_buffers()}
    held = sparsifier.state_dict()["held"]
    for n, p in model.named_parameters():
        if n in masks:
            parts[f"momentum of {n}"] = held[n]["momentum_buffer"][masks[n]]
        else:
            parts[f"momentum of {n}"] = momentum(optimizer, p)
    return {name: part.detach().clone() for name, part in parts.items()}


def test_what_is_frozen_is_bit_equal_through_every_step_of_exploration():
    model = net()
    sparsifier = iee(model, weights(model, ignore=["8"]), density=0.2, steps=40, H=6, J=5, Q=7)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    train(model, optimizer, range(11))
    assert sparsifier.stage == "explore"
    expected = frozen_parts(model, optimizer, sparsifier)
    moved = []

    def compare(step: int) -> None:
        if sparsifier.stage != "explore":
            return
        now = frozen_parts(model, optimizer, sparsifier)
        assert now.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.equal(now[name], value), f"{name} moved in step {step}"
        moved.append(int((model[0].weight[~sparsifier.masks()["0.weight"]] != 0).sum()))

    train(model, optimizer, range(11, 18), watch=compare)
    assert len(moved) == 6
    assert min(moved) > 0
    # The momentum that comes back is the very one that was put away, and grown weights start with none.
    masks, grown = sparsifier.masks(), sparsifier._diary.grown
    buffer = momentum(optimizer, model[0].weight)
    old = masks["0.weight"] & ~grown["0.weight"].reshape(masks["0.weight"].shape)
    home = expected["momentum of 0.weight"]
    assert torch.equal(buffer[old], home)
    assert not buffer[~old].any()


def test_removed_weights_add_nothing_and_get_no_update_outside_exploration():
    model = net()
    sparsifier = iee(model, weights(model), density=0.2, steps=60, H=6, J=5, Q=4)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    checked = []

    def compare(step: int) -> None:
        if sparsifier.stage == "explore":
            return
        for name, mask in sparsifier.masks().items():
            parameter = model.get_parameter(name)
            assert not parameter.detach()[~mask].any()
            assert not momentum(optimizer, parameter)[~mask].any()
        checked.append(step)

    train(model, optimizer, range(60), watch=compare)
    assert len(checked) > 40


def test_without_budget_and_exploration_it_is_static_training_bit_for_bit():
    results = []
    for method, switches in ((iee, {"alpha": 0.0, "H": 5, "J": 4, "Q": 0}), (static, {})):
        model = net()
        optimizer = sgd(model)
        method(model, weights(model), density=0.2, steps=40, seed=3, **switches).attach(optimizer)
        train(model, optimizer, range(40))
        results.append(model.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_the_same_criterion_object_prunes_and_grows():
    model, criterion = net(), Taylor()
    sparsifier = iee(model, weights(model), density=0.2, steps=60, criterion=criterion, H=6, J=5, Q=4)
    used = [m.criterion for e in sparsifier.plan.timeline.events for m in e.moves if isinstance(m, Drop | Grow)]
    assert len(used) == 6
    assert all(one is criterion for one in used)


def growth_after_one_exploring_step(model: nn.Sequential, explore_init: str) -> tuple[dict[str, Tensor], Sparsifier]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    sparsifier = iee(
        model, weights(model), density=0.3, steps=200, H=3, J=0, Q=1, explore_init=explore_init, seed=5, end=0.9
    )
    sparsifier.attach(optimizer)
    train(model, optimizer, range(3))
    before = sparsifier.masks()
    train(model, optimizer, range(3, 4))
    return {name: mask & ~before[name] for name, mask in sparsifier.masks().items()}, sparsifier


def test_one_exploring_step_from_zero_grows_exactly_what_rigl_grows():
    grown, sparsifier = growth_after_one_exploring_step(net(), "zero")
    # The oracle: the same three sparse steps and the same drop by hand, then the dense gradient of the fourth batch.
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    first = iee(model, weights(model), density=0.3, steps=200, H=3, J=0, Q=1, seed=5, end=0.9).plan.keep
    masks = {name: keep.reshape(model.get_parameter(name).shape) for name, keep in first.items()}
    with torch.no_grad():
        for name, mask in masks.items():
            model.get_parameter(name).mul_(mask)
    for step in range(3):
        x, y = batch(step)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for name, mask in masks.items():
            gradient = model.get_parameter(name).grad
            assert gradient is not None
            gradient.mul_(mask)
        optimizer.step()
    fraction = sparsifier.plan.timeline.events[0].moves[0].fraction
    counted = 0
    for name, mask in masks.items():
        weight = model.get_parameter(name).detach()
        out = min(int(fraction * int(mask.sum())), int((~mask).sum()))
        magnitude = weight.abs().masked_fill(~mask, float("inf")).flatten()
        weight.view(-1)[magnitude.argsort()[:out]] = 0
        masks[name] = mask & (weight != 0)
    x, y = batch(3)
    optimizer.zero_grad()
    F.cross_entropy(model(x), y).backward()
    for name, mask in masks.items():
        gradient = model.get_parameter(name).grad
        assert gradient is not None
        count = int(grown[name].sum())
        best = gradient.abs().masked_fill(mask, -1).flatten().argsort(descending=True)[:count]
        assert set(best.tolist()) == set(grown[name].flatten().nonzero().flatten().tolist())
        counted += count
    assert counted > 20


def test_random_growth_does_not_depend_on_the_weights():
    # With a random criterion the swap is SET's: over many swaps every removed weight is grown equally often.
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6, bias=False), nn.Linear(6, 4, bias=False))
    groups = weights(model, ignore=["1"])
    hits = torch.zeros(36)
    for seed in range(150):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        sparsifier = iee(model, groups, density=0.5, steps=4, H=1, J=1, Q=1, criterion=Random(), seed=seed)
        sparsifier.attach(optimizer)
        train(model, optimizer, range(4), shape=(6,))
        hits += sparsifier.keep["0.weight"]
        sparsifier.detach()
    # Binomial(150, 1/2): standard deviation 6.1; six of them on either side for 36 cells.
    assert float((hits - 75).abs().max()) < 6 * 6.2


def test_unfrozen_exploration_trains_everything():
    model = net()
    sparsifier = iee(model, weights(model), density=0.2, steps=60, H=6, J=5, Q=4, freeze=False)
    optimizer = sgd(model)
    sparsifier.attach(optimizer)
    train(model, optimizer, range(11))
    mask = sparsifier.masks()["0.weight"]
    active, norm = model[0].weight.detach()[mask].clone(), model[1].weight.detach().clone()
    train(model, optimizer, range(11, 13))
    assert sparsifier.stage == "explore"
    assert not torch.equal(model[0].weight.detach()[mask], active)
    assert not torch.equal(model[1].weight.detach(), norm)
    train(model, optimizer, range(13, 60))
    assert all(not model.get_parameter(n).detach()[~m].any() for n, m in sparsifier.masks().items())


@pytest.mark.parametrize(
    ("switches", "error", "words"),
    [
        ({"density": 0.0}, BudgetError, "0"),
        ({"density": 1.5}, BudgetError, "1.5"),
        ({"steps": 10}, TrainError, "7 of 10 steps are too few: .* at least 15; train longer .about 22 steps."),
        ({"H": 0}, TrainError, "H=0 will not do; give a whole number"),
        ({"Q": 0, "criterion": Gradient()}, TrainError, "without exploration"),
    ],
)
def test_bad_arguments_are_named(switches, error, words):
    model = net()
    arguments = {"density": 0.2, "steps": 60, "H": 6, "J": 5, "Q": 4} | switches
    with pytest.raises(error, match=words):
        iee(model, weights(model), **arguments)


def test_the_rate_of_exploration_is_a_multiple_and_is_given_back():
    moved = {}
    for rate in (1.0, 0.1):
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        sparsifier = iee(
            model, weights(model), density=0.2, steps=40, H=5, J=4, Q=4, explore_init="zero", explore_rate=rate
        ).attach(optimizer)
        train(model, optimizer, range(10))
        assert sparsifier.stage == "explore"
        assert optimizer.param_groups[0]["lr"] == 0.05
        moved[rate] = model[0].weight.detach()[~sparsifier.masks()["0.weight"]].clone()
    # One step of plain SGD from zero: the weights are the rate times the same gradient.
    torch.testing.assert_close(moved[0.1], moved[1.0] * 0.1)
    assert moved[1.0].any()
