"""A run that is saved and loaded at any step ends bit-equal to the run that was never stopped."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from niwaki.core import Group, Signals, TrainError, gather
from niwaki.criteria import Random, Taylor
from niwaki.methods import acdc, gmp, iee, rigl, sparse_evolution
from niwaki.store import save_training
from niwaki.structure.declare import weights

from .loops import net, train

STEPS = 40
METHODS: dict[str, Any] = {
    "iee": (iee, {"H": 5, "J": 4, "Q": 4, "carry": True, "grow_init": "explored"}),
    "iee_taylor": (iee, {"H": 5, "J": 4, "Q": 4, "criterion": Taylor(), "scope": "global"}),
    "iee_random": (iee, {"H": 5, "J": 4, "Q": 4, "criterion": Random()}),
    "iee_unfrozen": (iee, {"H": 5, "J": 4, "Q": 4, "freeze": False, "explore_init": "mru_random"}),
    "iee_reach": (iee, {"H": 4, "J": 3, "Q": 3, "reach": 8}),
    "rigl": (rigl, {"every": 7}),
    "set": (sparse_evolution, {"every": 7}),
    "gmp": (gmp, {"every": 7}),
    "acdc": (acdc, {"compress": (0.1, 0.5), "decompress": (0.3,)}),
}


def build(name: str, optimizer_type: Any = torch.optim.SGD, model: nn.Module | None = None):
    model = net() if model is None else model
    method, switches = METHODS[name]
    more: dict[str, Any] = {"momentum": 0.9} if optimizer_type is torch.optim.SGD else {}
    optimizer = optimizer_type(model.parameters(), lr=0.02, weight_decay=1e-3, **more)
    sparsifier = method(model, weights(model), density=0.2, steps=STEPS, seed=1, **switches)
    return model, optimizer, sparsifier.attach(optimizer)


def everything(model: nn.Module, optimizer: torch.optim.Optimizer, sparsifier) -> dict[str, torch.Tensor]:
    found = {f"model {k}": v for k, v in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        found |= {f"optimizer {index} {k}": torch.as_tensor(v) for k, v in state.items() if v is not None}
    found |= {f"keep {k}": v for k, v in sparsifier.keep.items()}
    return found


@pytest.mark.parametrize("optimizer_type", [torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("name", METHODS)
def test_going_on_from_any_step_is_bit_equal(name, optimizer_type):
    model, optimizer, sparsifier = build(name, optimizer_type)
    saved = []

    def save(step: int) -> None:
        states = (model.state_dict(), optimizer.state_dict(), sparsifier.state_dict())
        saved.append((step, copy.deepcopy(states)))

    train(model, optimizer, range(STEPS), watch=save)
    expected = everything(model, optimizer, sparsifier)
    history = sparsifier.history
    for step, states in saved[::3] + saved[10:14]:
        model, optimizer, sparsifier = build(name, optimizer_type)
        model.load_state_dict(states[0])
        optimizer.load_state_dict(copy.deepcopy(states[1]))  # torch keeps the tensors it is given
        sparsifier.load_state_dict(states[2])
        assert sparsifier.step == step
        train(model, optimizer, range(step, STEPS))
        now = everything(model, optimizer, sparsifier)
        assert now.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(now[key], value), f"{key} differs after going on from step {step}"
        assert sparsifier.history == history


def test_a_saved_state_is_a_copy():
    model, optimizer, sparsifier = build("iee")
    train(model, optimizer, range(3))
    state = sparsifier.state_dict()
    kept = copy.deepcopy(state)
    train(model, optimizer, range(3, 20))
    assert torch.equal(state["memory"]["0.weight"], kept["memory"]["0.weight"])
    assert state["diary"]["records"] == kept["diary"]["records"] == []


def test_a_mask_that_is_held_in_several_places_is_saved_once(tmp_path):
    model, optimizer, sparsifier = build("rigl")
    train(model, optimizer, range(10))  # past a swap
    state = sparsifier.state_dict()
    name = sparsifier.groups[0].name
    places = [state["home"][name], *state["gates"][name].values(), state["diary"]["cycle"][name]]
    assert len({id(mask) for mask in places}) == 1
    save_training(tmp_path, model=model, optimizer=optimizer, sparsifier=sparsifier)
    (file,) = tmp_path.glob("*.safetensors")
    with safe_open(file, "pt") as stored:
        size = sparsifier.groups[0].size
        masks = [key for key in stored.keys() if stored.get_slice(key).get_dtype() == "BOOL"]  # noqa: SIM118
        assert sum(stored.get_slice(key).get_shape() == [size] for key in masks) == 4  # structure, ever, grown, dropped


def test_a_state_of_another_plan_or_model_is_refused_and_changes_nothing():
    _, _, source = build("iee")
    state = source.state_dict()
    model, _, other_plan = build("rigl")
    before = copy.deepcopy(other_plan.state_dict())
    with pytest.raises(TrainError, match="another plan"):
        other_plan.load_state_dict(state)
    assert torch.equal(other_plan.state_dict()["home"]["0.weight"], before["home"]["0.weight"])
    small = nn.Sequential(nn.Linear(3, 4))
    sparsifier = iee(small, weights(small), density=0.5, steps=STEPS, H=5, J=4, Q=4)
    with pytest.raises(TrainError, match="attach"):
        sparsifier.load_state_dict(state)
    sparsifier.attach(torch.optim.SGD(small.parameters(), lr=0.1))
    with pytest.raises(TrainError, match="of other groups"):
        sparsifier.load_state_dict(state)
    with pytest.raises(TrainError, match="format 99"):
        sparsifier.load_state_dict({**state, "format": 99})


@pytest.mark.parametrize("other", [{"alpha": 0.2}, {"explore_rate": 0.5}, {"freeze": False}, {"scope": "global"}])
def test_a_state_saved_under_other_switches_is_refused(other):
    _, _, source = build("iee")
    model = net()
    method, switches = METHODS["iee"]
    sparsifier = method(model, weights(model), density=0.2, steps=STEPS, seed=1, **switches | other)
    sparsifier.attach(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(TrainError, match="another plan"):
        sparsifier.load_state_dict(source.state_dict())


def test_a_criterion_of_the_users_own_does_not_stand_in_the_way():
    class Own:
        needs = frozenset({"weight"})

        def __call__(self, group: Group, signals: Signals) -> torch.Tensor:
            return gather(group.slices[0], signals.of("weight", group.name)).abs().sum(1)

    states = []
    for _ in range(2):
        model = net()
        sparsifier = iee(model, weights(model), density=0.2, steps=STEPS, H=5, J=4, Q=4, criterion=Own())
        sparsifier.attach(torch.optim.SGD(model.parameters(), lr=0.1))
        states.append(sparsifier)
    states[1].load_state_dict(states[0].state_dict())
    assert states[1].step == 0
