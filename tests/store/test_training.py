"""Whole training runs: resumed bit for bit, or refused with everything left as it was."""

import copy
import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import StoreError
from niwaki.store import (
    check_fingerprint,
    fingerprint,
    load_checkpoint,
    load_training,
    save_checkpoint,
    save_training,
)


class Counter:
    """Stands in for a sparsifier."""

    def __init__(self, fails=False):
        self.state = {"step": 0, "masks": {"0.weight": torch.ones(4, 3, dtype=torch.bool)}, "rounds": {3: (1, 2)}}
        self.fails = fails

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = copy.deepcopy(state)
        if self.fails:
            self.fails = False
            raise KeyError("masks of another shape")


def make(seed=0, optimizer=torch.optim.AdamW, width=4):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.5), nn.Linear(width, 2))
    used = optimizer(model.parameters(), lr=0.1)
    return model, used, torch.optim.lr_scheduler.MultiStepLR(used, milestones=[4, 9]), Counter()


def train(things, steps):
    model, optimizer, scheduler, counter = things
    for _ in range(steps):
        x = torch.from_numpy(np.random.default_rng(random.getrandbits(32)).normal(size=(8, 3))).float()
        optimizer.zero_grad()
        (model(x) * np.random.rand()).square().mean().backward()  # noqa: NPY002 - the global state is the point here
        optimizer.step()
        scheduler.step()
        counter.state["step"] += 1


def compiled(model) -> nn.Module:
    wrapped = torch.compile(model)
    assert isinstance(wrapped, nn.Module)
    return wrapped


def state_of(*things):
    return copy.deepcopy([thing.state_dict() for thing in things])


def is_equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return set(a) == set(b) and all(is_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(is_equal(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)])
def test_a_resumed_run_is_bit_equal_to_the_uninterrupted_one(tmp_path, optimizer):
    straight = make(1, optimizer)
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is the point here
    train(straight, 6)
    model, used, scheduler, counter = straight
    save_training(
        tmp_path, model=model, optimizer=used, scheduler=scheduler, sparsifier=counter, extra={"epoch": 2, 5: (1,)}
    )
    train(straight, 7)

    random.seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global state is the point here
    resumed = make(2, optimizer)
    model, used, scheduler, counter = resumed
    extra = load_training(tmp_path, model=model, optimizer=used, scheduler=scheduler, sparsifier=counter)
    assert extra == {"epoch": 2, 5: (1,)}
    train(resumed, 7)
    assert counter.state["step"] == 13
    assert is_equal(state_of(*straight), state_of(*resumed))


def test_the_random_numbers_of_apples_processors_come_along(tmp_path, monkeypatch):
    generator = torch.Generator().manual_seed(5)  # in place of theirs
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", generator.get_state)
    monkeypatch.setattr(torch.mps, "set_rng_state", generator.set_state)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    save_training(tmp_path, model=model, optimizer=optimizer)
    drawn = torch.rand(3, generator=generator)
    load_training(tmp_path, model=model, optimizer=optimizer)
    assert torch.equal(torch.rand(3, generator=generator), drawn)


def test_a_scaler_and_a_compiled_model_come_along(tmp_path):
    model, optimizer, _, _ = make()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**7)
    scaler.scale(torch.ones(1))
    save_training(tmp_path, model=compiled(model), optimizer=optimizer, scaler=scaler)
    assert "0.weight" in load_checkpoint(tmp_path)["model"]
    other, optimizer, _, _ = make(5)
    fresh = torch.amp.GradScaler("cpu")
    load_training(tmp_path, model=compiled(other), optimizer=optimizer, scaler=fresh)
    assert fresh.get_scale() == 128.0
    assert torch.equal(other[0].weight, model[0].weight)


def _refusal(folder, model, optimizer, scheduler, counter, **changed):
    """What is said, once it is sure that nothing was touched."""
    things = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "sparsifier": counter, **changed}
    live = [thing for thing in things.values() if thing is not None]
    before, generator = state_of(*live), torch.get_rng_state()
    with pytest.raises(StoreError) as caught:
        load_training(folder, **things)
    assert is_equal(before, state_of(*live))
    assert torch.equal(generator, torch.get_rng_state())
    return str(caught.value)


@pytest.fixture
def saved(tmp_path):
    model, optimizer, scheduler, counter = make()
    train((model, optimizer, scheduler, counter), 3)
    save_training(tmp_path, model=model, optimizer=optimizer, scheduler=scheduler, sparsifier=counter)
    return tmp_path


def test_a_checkpoint_of_another_model_is_refused(saved):
    message = (
        r"checkpoint.json is a checkpoint of another model, 7 of 9 names differ: '0.weight' is float32\[4, 3\] there "
        r"and float32\[5, 3\] here, .*, \.\.\.; build the model as it was"
    )
    assert re.search(message, _refusal(saved, *make(width=5)))


def test_another_optimizer_is_refused(saved):
    model, _, scheduler, counter = make()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    assert re.search("holds the state of AdamW, not of SGD", _refusal(saved, model, sgd, scheduler, counter))
    part = torch.optim.AdamW(model[0].parameters(), lr=0.1)
    message = r"over other parameters: \[6\] parameters per group there, \[2\] parameters per group here"
    assert re.search(message, _refusal(saved, model, part, scheduler, counter))
    turned = torch.optim.AdamW(list(model.parameters())[::-1], lr=0.1)
    message = r"a parameter of shape \[4, 3\] there and \[2\] here; give it the same parameters in the same order"
    assert re.search(message, _refusal(saved, model, turned, scheduler, counter))


def test_what_was_saved_must_be_given_and_the_other_way_round(saved):
    model, optimizer, scheduler, counter = make()
    assert re.search(
        r"was saved with a scheduler; load it with scheduler=\.\.\. too",
        _refusal(saved, model, optimizer, None, counter),
    )
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    message = "was saved without a scaler; load it with scaler=None too"
    assert re.search(message, _refusal(saved, model, optimizer, scheduler, counter, scaler=scaler))


def test_an_object_that_fails_while_loading_takes_nothing_along(saved):
    model, optimizer, scheduler, _ = make(7)
    message = r"could not be taken over \(KeyError: 'masks of another shape'\); everything is as it was before"
    assert re.search(message, _refusal(saved, model, optimizer, scheduler, Counter(fails=True)))


def test_damaged_files_and_other_kinds_touch_nothing(saved, tmp_path_factory):
    (tensors,) = saved.glob("tensors-*")
    data = tensors.read_bytes()
    tensors.write_bytes(data[: len(data) // 2])
    assert re.search("is damaged or was edited: it has", _refusal(saved, *make(7)))
    other = tmp_path_factory.mktemp("other")
    save_checkpoint(other, {"step": 1})
    assert re.search("holds a checkpoint of kind 'state', not 'training'", _refusal(other, *make(7)))


def test_fingerprints_tell_models_apart_and_look_through_wrappers():
    plain = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert fingerprint(plain) == fingerprint(compiled(plain))
    assert fingerprint(plain) == fingerprint(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)))
    others = [
        nn.Sequential(nn.Linear(3, 2)),
        nn.Sequential(nn.Linear(3, 2).double(), nn.BatchNorm1d(2)),
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)),
    ]
    assert len({fingerprint(model) for model in [plain, *others]}) == 5


def test_check_fingerprint_lists_names_absent_on_either_side():
    described = {"weight": "float32[2, 3]", "gone": "float32[1]"}
    with pytest.raises(
        StoreError, match=r"2 of 3 names differ: 'gone' is float32\[1\] there and absent here, 'bias' is absent there"
    ):
        check_fingerprint(nn.Linear(3, 2), described)
    with pytest.raises(StoreError, match="the same names in another order"):
        check_fingerprint(nn.Linear(3, 2), {"bias": "float32[2]", "weight": "float32[2, 3]"})


def test_an_object_that_cannot_even_be_put_back_takes_nothing_along(saved):
    class Stubborn(Counter):
        def load_state_dict(self, state):
            raise RuntimeError("attach me first")

    model, optimizer, scheduler, _ = make(7)
    message = r"could not be taken over \(RuntimeError: attach me first\)"
    assert re.search(message, _refusal(saved, model, optimizer, scheduler, Stubborn()))
