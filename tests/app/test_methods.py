"""Names on the command line become methods, criteria, allocators and groups."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

import niwaki.methods
from niwaki.app.methods import (
    METHODS,
    allocator_named,
    criterion_named,
    groups_of,
    make_sparsifier,
    method_named,
    parse_switches,
)
from niwaki.core import AddressError, BudgetError, Signals, TrainError
from niwaki.criteria import BrainDamage, Taylor


def make(name, switches, density=0.5, steps=100):
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    groups = groups_of(model, "weights")
    options = {"density": density, "steps": steps, "seed": 0, "example": torch.zeros(2, 8)}
    return make_sparsifier(name, model, groups, switches, probe=lambda model, needs: Signals(), **options)


def test_every_name_is_a_method():
    # LAST cuts in one shot: it trains nothing.
    assert set(METHODS.values()) == set(niwaki.methods.__all__) - {"last"}
    assert method_named("set") is method_named("sparse_evolution") is niwaki.methods.sparse_evolution


def test_switches_reach_the_method():
    switches = parse_switches(["H=3", "J=2", "Q=1", "criterion=taylor", "allocator=uniform", "grow_init=explored"])
    assert switches == {
        "H": 3,
        "J": 2,
        "Q": 1,
        "criterion": "taylor",
        "allocator": "uniform",
        "grow_init": "explored",
    }
    sparsifier = make("iee", switches)
    first = sparsifier.plan.timeline.events[0]
    assert first.step == 3 and first.moves[0].criteria == (Taylor(),)
    assert sparsifier.plan.values.grow == "explored"
    assert [int(keep.sum()) for keep in sparsifier.keep.values()] == [32, 16]  # uniform: half of each


def test_the_given_density_steps_and_example_reach_the_method():
    sparsifier = make("static", {}, density=0.25, steps=7)
    assert sparsifier.density == 0.25
    # 2 samples, 3 passes, 2 FLOPs a multiplication: 12 (64 + 32).
    assert sparsifier.ledger.dense_step_flops == 12 * 96


@pytest.mark.parametrize(
    ("name", "switches", "error", "message"),
    [
        ("rigll", {}, AddressError, "the method 'rigll' is unknown; did you mean 'rigl'"),
        ("iee", {"h": 3}, AddressError, r"the method 'iee' has no switch 'h'; .*Known: criterion, H, J, Q, alpha"),
        ("iee", {"density": 0.1}, AddressError, "has no switch 'density'"),
        ("dense", {"H": 3}, AddressError, "the method 'dense' has no switch 'H'; it has none"),
        ("set", {"grow": "taylor"}, AddressError, "the method 'set' has no switch 'grow'; .*Known: every, alpha"),
        ("iee", {"criterion": "tailor"}, AddressError, "the criterion 'tailor' is unknown; did you mean 'taylor'"),
        ("iee", {"allocator": "ekr"}, AddressError, "the allocator 'ekr' is unknown; did you mean .*'erk'"),
        ("iee", {"swap": 0.1}, AddressError, "the switch 'swap' is a function of the step; set it from Python"),
        ("iee", {"H": "many"}, TrainError, "H='many' will not do; give a whole number"),
        ("iee", {"H": 500}, TrainError, "steps are too few"),
        ("iee", {"H": 0}, TrainError, "H=0 will not do; give a whole number of at least 1"),
    ],
)
def test_wrong_names_and_switches_are_explained(name, switches, error, message):
    with pytest.raises(error, match=message):
        make(name, switches)


def test_set_takes_the_switches_it_hands_on_to_rigl():
    sparsifier = make("set", {"every": 25, "allocator": "uniform"})
    assert [event.step for event in sparsifier.plan.timeline.events][:2] == [25, 50]
    assert [int(keep.sum()) for keep in sparsifier.keep.values()] == [32, 16]
    assert sparsifier.ledger.dense_step_flops == 12 * 96


def test_a_wrong_density_is_the_methods_own_error():
    with pytest.raises(BudgetError):
        make("rigl", {"every": 10}, density=2.0)


@pytest.mark.parametrize("text", ["H", "=3", "a b=3"])
def test_a_switch_needs_a_name_and_a_value(text):
    with pytest.raises(AddressError, match="needs the form name=value, such as H=150"):
        parse_switches([text])


def test_criteria_and_allocators_by_name():
    assert criterion_named("brain_damage") == criterion_named("BrainDamage") == BrainDamage()
    counts = {name: allocator_named(name) for name in ("erk", "er", "uniform", "global")}
    assert len({type(allocator) for allocator in counts.values()}) == 4


def test_groups_by_units():
    model = nn.Linear(8, 6)
    assert [g.size for g in groups_of(model, "weights")] == [48]
    assert [g.size for g in groups_of(model, "4x4")] == [4]
    assert [(g.pattern.n, g.pattern.m) for g in groups_of(model, "2:4") if g.pattern] == [(2, 4)]
    with pytest.raises(AddressError, match="the units 'rows' are unknown; give weights, blocks such as 4x4"):
        groups_of(model, "rows")


def test_a_method_without_probe_or_example_gets_neither(monkeypatch):
    @dataclass
    class Made:
        options: dict[str, object]

    def plain(model, groups, *, density, steps, seed=0):
        return Made({"density": density, "steps": steps, "seed": seed})

    monkeypatch.setattr(niwaki.methods, "static", plain)
    assert make("static", {}).options == {"density": 0.5, "steps": 100, "seed": 0}
