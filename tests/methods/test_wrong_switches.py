"""A switch with a value it cannot have is refused by name, before anything runs; none is passed over in silence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.allocate import ranked
from niwaki.core import BudgetError, GroupError, SignalError, TrainError
from niwaki.criteria import Lamp, Normalised, TailShare
from niwaki.methods import acdc, dense, gmp, halp, iee, last, rigl, smcp, sparse_evolution, static
from niwaki.moves import constant
from niwaki.structure import blocks, channels, n_of_m, shrink, weights

from ..train.loops import mlp, net
from .widths import limit, network

COUNTS: list[Any] = [-1, 2.5, 300.0, "300", None, True]
NAMES = {"scope": "model", "normalise": "l2", "explore_init": "mru", "grow_init": "mru_zero"}
SHARES: list[Any] = [-0.1, 1.5, math.nan, "0.5"]
BY_DENSITY = {"iee": iee, "rigl": rigl, "set": sparse_evolution, "gmp": gmp, "acdc": acdc, "static": static}


def refusal(method: str, **switches: Any) -> str:
    """What a method says to switches that it must refuse."""
    model = mlp()
    chosen = {"density": 0.5, "steps": 300, **switches}
    with pytest.raises(TrainError) as refused:
        BY_DENSITY[method](model, weights(model), **chosen)
    return str(refused.value)


@pytest.mark.parametrize("wrong", COUNTS, ids=str)
@pytest.mark.parametrize("method", list(BY_DENSITY))
def test_the_length_and_the_seed_are_whole_numbers(method, wrong):
    for switch in ("steps", "seed"):
        said = refusal(method, **{switch: wrong})
        assert said.startswith(f"{switch}={wrong!r} will not do; give a whole number of at least")


@pytest.mark.parametrize(
    ("method", "switch"),
    [
        ("iee", "H"),
        ("iee", "J"),
        ("iee", "Q"),
        ("iee", "warmup"),
        ("iee", "reach"),
        ("rigl", "every"),
        ("gmp", "every"),
    ],
)
def test_stretches_are_whole_numbers(method, switch):
    for wrong in [value for value in COUNTS if (switch, value) != ("reach", None)]:
        said = refusal(method, **{switch: wrong})
        assert said.startswith(f"{switch}={wrong!r} will not do; give a whole number of at least")


@pytest.mark.parametrize(
    ("method", "switch"),
    [("iee", "alpha"), ("iee", "end"), ("rigl", "alpha"), ("rigl", "end"), ("gmp", "begin"), ("gmp", "end")],
)
def test_shares_lie_between_none_and_all(method, switch):
    for wrong in SHARES:
        said = refusal(method, **{switch: wrong})
        assert said.startswith(f"{switch}={wrong!r} will not do; give a share from 0 to 1")


def test_phases_are_shares():
    said = refusal("acdc", compress=(0.2, 1.2))
    assert said.startswith("compress[1]=1.2 will not do; give a share")
    said = refusal("acdc", compress=(0.2,), decompress=(-1,))
    assert said.startswith("decompress[0]=-1 will not do; give a share")


@pytest.mark.parametrize(("switch", "least"), [("decay", "of at least"), ("explore_rate", "above")])
def test_rates_are_numbers_that_mean_something(switch, least):
    for wrong in (-1.0, math.inf, math.nan, "2", None):
        said = refusal("iee", **{switch: wrong})
        assert said.startswith(f"{switch}={wrong!r} will not do; give a number {least} 0")
    assert refusal("iee", explore_rate=0).startswith("explore_rate=0 will not do; give a number above 0")


@pytest.mark.parametrize("switch", list(NAMES))
def test_names_are_those_of_the_list(switch):
    said = refusal("iee", **{switch: NAMES[switch]})
    assert said.startswith(f"{switch}='{NAMES[switch]}' is unknown; choose from '")


@pytest.mark.parametrize("method", ["iee", "rigl", "set"])
def test_what_is_swapped_follows_from_the_step(method):
    said = refusal(method, swap=0.3)
    assert said.startswith("swap=0.3 will not do; give a function of the step, such as niwaki.constant(0.3)")
    assert refusal(method, swap=constant(1.5)).startswith("swap=1.5 will not do; give a share from 0 to 1")


def test_numbers_of_numpy_are_numbers():
    model = mlp()
    sparsifier = iee(model, weights(model), density=np.float64(0.5), steps=np.int64(300), alpha=np.float32(0.25))
    assert sparsifier.density == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("method", "switches", "words"),
    [
        (halp, {"every": 1.5}, "every=1.5 will not do; give a whole number"),
        (halp, {"events": 0}, "events=0 will not do; give a whole number"),
        (halp, {"begin": -1}, "begin=-1 will not do; give a whole number"),
        (smcp, {"every": 0}, "every=0 will not do; give a whole number"),
        (smcp, {"warmup": -0.5}, "warmup=-0.5 will not do; give a share"),
        (smcp, {"cooldown": 2}, "cooldown=2 will not do; give a share"),
        (smcp, {"rate": 0}, "rate=0 will not do; give a number above 0"),
        (smcp, {"seed": None}, "seed=None will not do; give a whole number"),
    ],
)
def test_methods_for_a_budget(method, switches, words):
    model, groups = network()
    with pytest.raises(TrainError, match=words):
        method(model, groups, budget=limit(0.5), **{"steps": 2000, **switches})


@pytest.mark.parametrize("method", [*BY_DENSITY.values(), dense], ids=[*BY_DENSITY, "dense"])
def test_what_are_no_groups_is_named(method):
    model = mlp()
    for wrong, kind in ((["0.weight"], "str"), (model, "Sequential"), ("all", "str"), ({"0": 1}, "dict")):
        with pytest.raises(
            GroupError, match=f"groups are needed, such as niwaki.weights.* of type {kind}; are the arg"
        ):
            method(model, wrong, density=0.5, steps=300)


def test_arguments_in_another_order_are_named():
    model = net()
    groups = channels(model, torch.zeros(2, 3, 6, 6))
    scores = {group.name: torch.rand(group.size) for group in groups}
    keep = ranked(groups, scores, density=0.5)
    for call in (lambda: shrink(model, keep, groups), lambda: ranked(scores, groups, density=0.5)):
        with pytest.raises(GroupError, match="of type dict; are the arguments in their order"):
            call()
    for wrong in (next(iter(keep.values())), list(keep.values())):
        with pytest.raises(GroupError, match=rf"keep needs booleans by group name.* a {type(wrong).__name__}"):
            shrink(model, groups, wrong)


def test_costs_and_steps_of_groups_are_checked():
    model, groups = network()
    scores = {group.name: torch.rand(group.size) for group in groups}
    with pytest.raises(BudgetError, match="cost=3: give what a unit costs by group name, or a function of keep"):
        ranked(groups, scores, density=0.5, cost=3)
    for chunk, words in (
        ({"zero": 2}, "the group 'zero', which is not there; groups: '0', '3'"),
        (2.5, "a step of 2.5"),
    ):
        with pytest.raises(BudgetError, match=words):
            halp(model, groups, budget=limit(0.5), steps=2000, chunk=chunk)


@pytest.mark.parametrize("wrapper", [Lamp, Normalised, TailShare])
def test_criteria_of_criteria_want_a_criterion(wrapper):
    with pytest.raises(SignalError, match="criterion='magnitude' .* is no criterion"):
        wrapper("magnitude")


def test_blocks_and_patterns_have_whole_sides():
    model = nn.Linear(8, 8)
    for shape in (4, (4,), (4.0, 4), (0, 4), (4, 4, 4)):
        with pytest.raises(GroupError, match="a block needs a number of rows and one of columns"):
            blocks(model, shape)
    for n, m in ((2.0, 4), (2, 4.0), (0, 4), (4, 4), (True, 4)):
        with pytest.raises(GroupError, match=f"{n} of {m} is no pattern"):
            n_of_m(model, n, m)


def test_last_wants_a_whole_seed():
    with pytest.raises(TrainError, match="seed=0.5 will not do; give a whole number"):
        last(mlp(), density=0.5, seed=0.5)
