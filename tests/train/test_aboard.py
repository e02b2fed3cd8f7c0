"""Who saves the optimizer saves the sparsifier, whatever owns the loop; who loads it goes on exactly."""

from __future__ import annotations

import copy
import io

import pytest
import torch

from niwaki.core import TrainError
from niwaki.methods import rigl, static
from niwaki.store import load_training, save_training
from niwaki.structure import channels
from niwaki.structure.declare import weights

from .loops import net, train
from .test_resume import STEPS, build, everything


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)  # as transformers and accelerate load


@pytest.mark.parametrize("name", ["iee", "iee_taylor", "rigl", "acdc"])
def test_going_on_with_model_and_optimizer_alone_is_bit_equal(name):
    model, optimizer, sparsifier = build(name)
    saved = []
    train(
        model,
        optimizer,
        range(STEPS),
        watch=lambda step: saved.append((step, through_a_file((model.state_dict(), optimizer.state_dict())))),
    )
    expected, history = everything(model, optimizer, sparsifier), sparsifier.history
    for step, (weights_then, state_then) in saved[1::4]:
        model, optimizer, sparsifier = build(name)
        model.load_state_dict(weights_then)
        optimizer.load_state_dict(state_then)
        assert sparsifier.step == step
        train(model, optimizer, range(step, STEPS))
        now = everything(model, optimizer, sparsifier)
        assert [key for key, value in expected.items() if not torch.equal(now[key], value)] == []
        assert sparsifier.history == history


def two_on_one(order=("0", "3")):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    parts = {name: [group for group in weights(model) if group.name.startswith(name)] for name in ("0", "3")}
    made = {name: rigl(model, parts[name], density=0.3, steps=20, every=4, seed=int(name)) for name in order}
    return model, optimizer, {name: one.attach(optimizer) for name, one in made.items()}


def test_each_of_two_sparsifiers_finds_its_own():
    model, optimizer, made = two_on_one()
    train(model, optimizer, range(6))
    state = through_a_file(optimizer.state_dict())
    assert len(state["niwaki"]) == 2
    _, again, others = two_on_one(("3", "0"))
    again.load_state_dict(state)
    for name, one in made.items():
        assert all(torch.equal(kept, others[name].keep[group]) for group, kept in one.keep.items())
        assert others[name].step == 6


@pytest.mark.parametrize("named", [None, "0", "3"])
def test_a_checkpoint_has_both_whichever_is_named(tmp_path, named):
    model, optimizer, made = two_on_one()
    train(model, optimizer, range(6))
    save_training(tmp_path, model=model, optimizer=optimizer, sparsifier=made.get(named))
    again, its_optimizer, others = two_on_one()
    load_training(tmp_path, model=again, optimizer=its_optimizer, sparsifier=others.get(named))
    assert [one.step for one in others.values()] == [6, 6]
    for at in (model, optimizer), (again, its_optimizer):
        train(*at, range(6, 12))
    assert all(torch.equal(*pair) for pair in zip(model.parameters(), again.parameters(), strict=True))


def test_what_does_not_fit_is_refused_before_anything_is_loaded():
    model, optimizer, _ = build("iee")
    train(model, optimizer, range(3))
    state = optimizer.state_dict()
    _, other, sparsifier = build("rigl")
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(TrainError, match=r"has a sparsifier's aboard: .* another plan .* leave out its entry 'niwaki'"):
        other.load_state_dict(state)
    assert other.state_dict()["state"] == before["state"] == {}
    alone = {key: value for key, value in state.items() if key != "niwaki"}
    other.load_state_dict(alone)  # as before there was one
    assert other.state_dict()["state"] and sparsifier.step == 0


@pytest.mark.parametrize("name", ["iee", "rigl", "set", "gmp", "acdc"])
def test_weights_loaded_before_attach_are_missed_at_the_first_step(name):
    model, optimizer, sparsifier = build(name)
    train(model, optimizer, range(24))
    states = copy.deepcopy((model.state_dict(), optimizer.state_dict(), sparsifier.state_dict()))
    again = net()
    again.load_state_dict(states[0])
    other, its_optimizer, its_sparsifier = build(name, model=again)  # which puts the first structure on
    its_optimizer.load_state_dict(states[1])
    its_sparsifier.load_state_dict(states[2])  # once more changes nothing
    before = [parameter.detach().clone() for parameter in again.parameters()]
    for _ in range(2):
        if name not in ("gmp", "acdc"):  # these remove nothing at first
            with pytest.raises(TrainError, match=r"weights were not, since attach\(\) .* the model after attach\(\)"):
                train(other, its_optimizer, range(24, 25))
    assert all(torch.equal(*pair) for pair in zip(before, again.parameters(), strict=True))
    again.load_state_dict(states[0])
    train(other, its_optimizer, range(24, 26))
    assert its_sparsifier.step == 26


def test_without_a_sparsifier_all_is_as_ever():
    model, optimizer, sparsifier = build("iee")
    train(model, optimizer, range(3))
    state = optimizer.state_dict()
    sparsifier.detach()
    assert optimizer.state_dict().keys() == {"state", "param_groups"}
    optimizer.load_state_dict(state)  # nobody there to take what is aboard
    assert sparsifier.step == 3 and optimizer.state_dict().keys() == {"state", "param_groups"}


def test_a_checkpoint_of_a_run_holds_the_sparsifier_once_named_or_not(tmp_path):
    model, optimizer, sparsifier = build("iee")
    train(model, optimizer, range(8))
    save_training(tmp_path / "named", model=model, optimizer=optimizer, sparsifier=sparsifier)
    save_training(tmp_path / "aboard", model=model, optimizer=optimizer)
    sizes = {}
    for name in ("named", "aboard"):
        sizes[name] = sum(path.stat().st_size for path in (tmp_path / name).glob("*.safetensors"))
        again, its_optimizer, its_sparsifier = build("iee")
        given = {"sparsifier": its_sparsifier} if name == "named" else {}
        load_training(tmp_path / name, model=again, optimizer=its_optimizer, **given)
        assert its_sparsifier.step == 8
        train(again, its_optimizer, range(8, 20))
        sizes[name + " weights"] = [float(p.detach().sum()) for p in again.parameters()]
    assert sizes["named weights"] == sizes["aboard weights"]
    assert sizes["named"] == pytest.approx(sizes["aboard"], rel=0.02)


def test_a_model_that_is_smaller_for_now_says_how_to_save_it():
    model = net()
    groups = channels(model, torch.zeros(2, 3, 6, 6))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sparsifier = static(model, groups, density=0.5, steps=4, materialise=True).attach(optimizer)
    train(model, optimizer, range(2))
    with pytest.raises(TrainError, match=r"materialised: .* `with sparsifier.whole\(\):`"):
        optimizer.state_dict()
    with sparsifier.whole():
        assert len(optimizer.state_dict()["niwaki"]) == 1
