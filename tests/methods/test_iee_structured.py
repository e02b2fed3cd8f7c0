"""IEE on channels: the invariants of the method for structures, with a density and with a budget."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from niwaki.core import BudgetError, TrainError
from niwaki.criteria import Magnitude
from niwaki.methods import iee
from niwaki.moves import Refill, Shed
from niwaki.structure import shrink
from niwaki.train.sparsifier import Sparsifier

from ..train.loops import batch, momentum, train
from .widths import SIZES, limit, network, paid, staircase

SHORT = {"H": 5, "J": 4, "Q": 4}


def sgd(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)


def counts(sparsifier: Sparsifier) -> tuple[int, ...]:
    return tuple(int(sparsifier.keep[name].sum()) for name in SIZES)


@pytest.mark.parametrize("init", [None, Magnitude()])
@pytest.mark.parametrize("reach", [0, 12])
def test_the_budget_holds_after_every_cycle_and_there_is_room_within(reach, init):
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.5), steps=120, reach=reach, init=init, alpha=0.3, end=0.75, **SHORT)
    sparsifier.attach(optimizer := sgd(model))
    most, seen = 0.5 * staircase(8, 8), []
    train(model, optimizer, range(120), watch=lambda _: seen.append((sparsifier.stage, paid(sparsifier.keep))))
    assert {stage for stage, _ in seen} == {"estimate", "improve", "explore", "train"} | ({"prune"} if reach else set())
    assert all(cost <= most for stage, cost in seen if stage != "prune")
    assert all(cost < most for stage, cost in seen if stage in ("improve", "explore"))
    # What is dropped makes room for others, cycle after cycle.
    drops = [record for record in sparsifier.history if record["move"] == "drop"]
    grows = [record for record in sparsifier.history if record["move"] == "grow"]
    assert len(drops) == len(grows) == (90 - reach) // 13
    assert any(
        int(sparsifier._diary.ever[name].sum()) > int(sparsifier.keep[name].sum()) for name in SIZES
    )  # more channels were active at some time than are now


@pytest.mark.parametrize("reach", [0, 20])
def test_with_a_density_every_group_has_its_count_after_every_cycle(reach):
    model, groups = network()
    sparsifier = iee(model, groups, density=0.5, steps=120, reach=reach, alpha=0.5, **SHORT)
    sparsifier.attach(optimizer := sgd(model))
    seen = []
    train(model, optimizer, range(120), watch=lambda _: seen.append((sparsifier.stage, counts(sparsifier))))
    assert {now for stage, now in seen if stage in ("estimate", "train")} == {(4, 4)}
    assert {now for stage, now in seen if stage in ("improve", "explore")} <= {(2, 2), (3, 3), (4, 4)}
    assert any(now != (4, 4) for stage, now in seen if stage in ("improve", "explore"))


def parts(model: nn.Module, optimizer: torch.optim.Optimizer, sparsifier: Sparsifier) -> dict[str, Tensor]:
    """Everything of the active channels: values, momentum put away, running statistics."""
    masks, keep = sparsifier.masks(), sparsifier.keep
    held = sparsifier.state_dict()["held"]
    found = {}
    for name, parameter in model.named_parameters():
        if name in masks:
            found[f"value of {name}"] = parameter[masks[name]]
            found[f"momentum of {name}"] = held[name]["momentum_buffer"][masks[name]]
        else:
            found[f"value of {name}"] = parameter
            found[f"momentum of {name}"] = momentum(optimizer, parameter)
    for name, norm in (("0", model.get_submodule("1")), ("3", model.get_submodule("4"))):
        for kind in ("running_mean", "running_var"):
            found[f"{kind} of {name}"] = norm.get_buffer(kind)[keep[name]]
    return {name: part.detach().clone() for name, part in found.items()}


def test_the_active_channels_are_bit_equal_through_the_exploration():
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=80, reach=10, **SHORT).attach(optimizer := sgd(model))
    train(model, optimizer, range(19))
    assert sparsifier.stage == "explore"
    expected, moved = parts(model, optimizer, sparsifier), []

    def compare(step: int) -> None:
        if sparsifier.stage == "explore":
            now = parts(model, optimizer, sparsifier)
            assert [name for name, value in expected.items() if not torch.equal(now[name], value)] == []
            moved.append(step)

    before = model[3].weight.detach().clone()
    train(model, optimizer, range(19, 23), watch=compare)
    assert len(moved) == 3
    assert not torch.equal(model[3].weight.detach(), before)


@pytest.mark.parametrize("cross", [True, False])
def test_cross_slices_learn_if_asked(cross):
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=80, reach=10, train_cross_slices=cross, **SHORT)
    sparsifier.attach(optimizer := sgd(model))
    train(model, optimizer, range(19))
    home = {name: keep.clone() for name, keep in sparsifier.keep.items()}
    before = model[3].weight.detach().clone()
    train(model, optimizer, range(19, 21))
    assert sparsifier.stage == "explore"
    changed = (model[3].weight.detach() != before).flatten(2).any(2)
    kept_out, kept_in = home["3"][:, None], home["0"][None]
    assert bool(changed[~kept_out & ~kept_in].all())
    crossing = (kept_out & ~kept_in) | (~kept_out & kept_in)
    assert bool(changed[crossing].all()) if cross else not bool(changed[crossing].any())


@pytest.mark.parametrize(("asked", "last"), [({}, 80), ({"end": 0.75}, 150)])
def test_the_same_criterion_drops_and_grows(asked, last):
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=200, **asked, **SHORT)
    moves = [m for e in sparsifier.plan.timeline.events for m in e.moves if isinstance(m, Shed | Refill)]
    assert len(moves) == 2 * ((last - 200 // 8) // 13)
    assert len({id(move.criterion) for move in moves}) == 1


@pytest.mark.parametrize(("steps", "last"), [(40, 18), (26, 16), (60, 24)])
def test_a_short_run_has_its_cycle(steps, last):
    # An eighth of the run, then 13 steps; 40 % of 60 steps have room for that, 40 % of 40 or 26 have not.
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=steps, **SHORT)
    at = [e.step for e in sparsifier.plan.timeline.events if any(isinstance(m, Refill) for m in e.moves)]
    assert at == [steps // 8 + 13]
    assert at[0] <= last


def test_a_run_without_room_for_a_cycle_is_refused():
    model, groups = network()
    with pytest.raises(
        TrainError, match="14 of 19 steps are too few: before the structure stands, a cycle of 13 steps after 2 others"
    ):
        iee(model, groups, budget=limit(0.4), steps=19, **SHORT)
    with pytest.raises(
        TrainError, match="16 of 40 steps are too few: .* a cycle of 13 steps after 5 others needs at least 18"
    ):
        iee(model, groups, budget=limit(0.4), steps=40, end=0.4, **SHORT)


def test_what_grows_is_alive_and_what_is_delivered_shrinks():
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=90, alpha=0.5, decay=0.0, end=0.75, **SHORT)
    sparsifier.attach(optimizer := sgd(model))
    train(model, optimizer, range(90))
    for name in SIZES:
        rows = model.get_submodule(name).weight.detach().flatten(1).any(1)
        assert torch.equal(rows, sparsifier.keep[name])
    model.eval()
    x = batch(99)[0]
    small = shrink(model, groups, sparsifier.keep).eval()
    torch.testing.assert_close(small(x), model(x), rtol=1e-5, atol=1e-6)


def test_a_dense_beginning_comes_before_the_prunings():
    model, groups = network()
    sparsifier = iee(model, groups, budget=limit(0.4), steps=120, warmup=15, reach=10, **SHORT)
    steps = [event.step for event in sparsifier.plan.timeline.events]
    assert steps[:10] == list(range(16, 26))
    assert steps[10] == 25 + SHORT["H"]
    assert sparsifier.density == 1.0


@pytest.mark.parametrize(
    ("switches", "error", "words"),
    [
        ({}, BudgetError, "give either density=.*neither came"),
        ({"density": 0.5, "budget": limit(0.5)}, BudgetError, "both came"),
        ({"budget": limit(0.05)}, BudgetError, "cannot be met"),
        ({"budget": limit(0.5), "grace": True}, TrainError, "a budget has none"),
        ({"density": 0.5, "warmup": 5}, TrainError, "give reach="),
        ({"budget": limit(0.5), "Q": 0}, TrainError, "without exploration"),
    ],
)
def test_bad_arguments_are_named(switches, error, words):
    model, groups = network()
    with pytest.raises(error, match=words):
        iee(model, groups, **({"steps": 120} | SHORT | switches))
