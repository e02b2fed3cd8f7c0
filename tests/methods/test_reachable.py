"""A density that no plan can meet is refused before the run, not where the descent comes upon it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import niwaki as nw
from niwaki.core import BudgetError, GroupError, SignalError
from niwaki.core.errors import NiwakiError

GRADUAL = {
    "gmp": lambda model, groups, **how: nw.gmp(model, groups, steps=100, every=10, **how),
    "acdc": lambda model, groups, **how: nw.acdc(model, groups, steps=100, **how),
    "iee": lambda model, groups, **how: nw.iee(model, groups, steps=100, reach=30, H=5, J=5, Q=2, **how),
}


def narrow():
    """Two layers of eight channels, of which each keeps one."""
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    return model, nw.channels(model, torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("method", GRADUAL)
def test_fewer_units_than_must_stay_are_refused_at_once(method):
    model, groups = narrow()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(BudgetError, match="the density asks for 1 of 16 units, but the groups can keep 2 to 16"):
        GRADUAL[method](model, groups, density=0.05)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    made = GRADUAL[method](model, groups, density=0.125)
    assert made.density == 1.0


@pytest.mark.parametrize("method", ["gmp", "iee"])
def test_what_stands_in_the_way_from_dense_is_named(method):
    model = nn.Sequential(nn.Linear(10, 10), nn.ReLU(), nn.Linear(10, 10))
    groups = nw.weights(model)
    small = nw.Uniform(fixed={"0.weight": 0.2})
    words = r"on the way from dense down to 0.3: the density asks for .* the groups can keep .*change fixed densities"
    with pytest.raises(BudgetError, match=words):
        GRADUAL[method](model, groups, density=0.3, allocator=small)
    assert GRADUAL["acdc"](model, groups, density=0.3, allocator=small).plan.steps == 100


def test_a_descent_of_groups_that_keep_multiples_runs_to_its_end():
    # Some steps of the descent ask for one unit more than the step before could keep.
    model = nn.Sequential(nn.Linear(5, 20), nn.ReLU(), nn.Linear(20, 3))
    (group,) = nw.channels(model, torch.zeros(1, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    pruned = nw.gmp(model, [replace(group, multiple_of=2)], density=0.5, steps=44, every=1).attach(optimizer)
    for _ in range(44):
        optimizer.zero_grad()
        model(torch.randn(4, 5)).square().mean().backward()
        optimizer.step()
    assert pruned.density == 0.5


@pytest.mark.parametrize("method", GRADUAL)
def test_a_name_is_no_allocator(method):
    model, groups = narrow()
    with pytest.raises(NiwakiError, match="allocator='erk'"):
        GRADUAL[method](model, groups, density=0.5, allocator="erk")
    with pytest.raises(SignalError, match="is no criterion"):
        GRADUAL[method](model, groups, density=0.5, criterion="taylor")


@pytest.mark.parametrize("method", GRADUAL)
def test_a_tensor_is_no_groups_whoever_allocates(method):
    with pytest.raises(GroupError, match="of type Tensor; are the arguments in their order"):
        GRADUAL[method](nn.Linear(2, 2), torch.zeros(3), density=0.5, allocator=nw.Uniform())
    with pytest.raises(GroupError, match="of type Tensor; are the arguments in their order"):
        nw.ranked(torch.zeros(3), {"a": torch.zeros(2)}, density=0.5)
