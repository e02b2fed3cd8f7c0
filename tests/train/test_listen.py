"""Scores over a window: the mean, what is left out of it, and fused optimizers under a scaler."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import niwaki as nw
from niwaki.core import Group, SignalError, Signals, Slice
from niwaki.train.listen import Listener

from .loops import batch, mlp

GROUPS = [Group("a", 3, (Slice("a", (3,)),)), Group("b", 2, (Slice("b", (2,)),))]


def signals(a: list[float], b: list[float]) -> Signals:
    one = {"a": torch.ones(3), "b": torch.ones(2)}
    return Signals({"weight": one, "grad": {"a": torch.tensor(a), "b": torch.tensor(b)}})


def test_the_score_is_the_mean_of_the_steps_heard():
    # |w g| with w = 1: (1 + 3) / 2, (2 + 0) / 2, (4 + 4) / 2.
    listener, criteria = Listener(), (nw.Magnitude(), nw.Taylor())
    listener.hear(criteria, GROUPS, signals([1, -2, 4], [0, 0]))
    listener.hear(criteria, GROUPS, signals([-3, 0, 4], [2, 0]))
    assert listener.mean(criteria, criteria[1], GROUPS[0]).tolist() == [2.0, 1.0, 4.0]
    assert listener.mean(criteria, criteria[1], GROUPS[1]).tolist() == [1.0, 0.0]


def test_a_step_with_one_bad_group_is_left_out_of_all_groups():
    listener, criteria = Listener(), (nw.Taylor(),)
    listener.hear(criteria, GROUPS, signals([1, 1, 1], [1, 1]))
    listener.hear(criteria, GROUPS, signals([9, 9, 9], [float("nan"), 1]))
    listener.hear(criteria, GROUPS, signals([9, float("inf"), 9], [1, 1]))
    assert (listener.heard, listener.discarded) == (1, 2)
    assert listener.mean(criteria, criteria[0], GROUPS[0]).tolist() == [1.0, 1.0, 1.0]
    listener.forget()
    listener.hear(criteria, GROUPS, signals([9, float("nan"), 9], [1, 1]))
    with pytest.raises(SignalError, match=r"Taylor has no score for group 'a'.*all 1 had a non-finite score.*clip"):
        listener.mean(criteria, criteria[0], GROUPS[0])


@dataclass(frozen=True)
class Broken:
    """Gives a NaN for the second unit."""

    needs = frozenset({"weight"})

    def __call__(self, group: Group, signals: Signals) -> Tensor:
        scores = torch.ones(group.size)
        scores[1] = float("nan")
        return scores


def test_a_score_that_is_not_finite_stops_the_move_and_changes_nothing():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    groups = nw.weights(model)
    sparsifier = nw.iee(model, groups, density=0.5, steps=40, H=1, J=3, Q=2, criterion=Broken()).attach(optimizer)
    keep = {name: mask.clone() for name, mask in sparsifier.keep.items()}
    x, y = batch(0, (12,))
    F.cross_entropy(model(x), y).backward()
    with pytest.raises(
        SignalError, match=r"Broken gave 1 of 192 units of group '0\.weight' a score that is not finite"
    ):
        optimizer.step()
    assert all(torch.equal(sparsifier.keep[name], mask) for name, mask in keep.items())
    assert sparsifier.history == []


def test_a_fused_optimizer_that_a_scaler_makes_skip_does_not_count():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, fused=True)
    sparsifier = nw.iee(model, nw.weights(model), density=0.3, steps=30, H=4, J=3, Q=3, criterion=nw.Taylor()).attach(
        optimizer
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    done = 0
    for step in range(24):
        x, y = batch(step, (12,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) * (float("inf") if step in (2, 8) else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        done += step not in (2, 8)
        assert sparsifier.step == done
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert not model[0].weight.detach()[~sparsifier.masks()["0.weight"]].any()


def test_scores_do_not_carry_the_scale_of_a_fused_optimizer():
    scores = []
    for scale in (1.0, 4096.0):
        model = mlp()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, fused=True)
        sparsifier = nw.iee(model, nw.weights(model), density=0.3, steps=30, H=4, J=3, Q=3, criterion=nw.Taylor())
        sparsifier.attach(optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        for step in range(3):
            x, y = batch(step, (12,))
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y)).backward()
            scaler.step(optimizer)
            scaler.update()
        scores.append(sparsifier.state_dict()["listener"]["sums"])
    assert scores[0].keys() == scores[1].keys() != set()
    for key, value in scores[0].items():
        torch.testing.assert_close(scores[1][key], value)
