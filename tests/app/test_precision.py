"""A precision that costs time in place of saving it is told of."""

import re
import time

import pytest
import torch
from torch import nn

from niwaki.app.precision import precise, slow_precision
from niwaki.app.run import resume, train

from .short_runs import Notes, StopAt, Stopped, settings


class Timed(nn.Module):
    """Takes a given time in each precision, and remembers what it was asked for."""

    def __init__(self, fp32, bf16):
        super().__init__()
        self.take = {False: fp32, True: bf16}
        self.seen = []
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        low = torch.is_autocast_enabled("cpu")
        self.seen.append((low, self.training))
        time.sleep(self.take[low])
        return self.norm(x)


def test_the_ratio_told_is_that_of_the_two_precisions():
    model, x = Timed(0.05, 0.4).train(), torch.randn(4, 3)
    before = model.norm.running_mean.clone()
    said = slow_precision(model, x, "bf16")
    ratio = float(re.match(r"in bf16 a forward pass of this model takes ([\d.]+) times as long as in fp32", said)[1])
    assert 4 < ratio < 9
    assert said.endswith("Unless you want bf16 for itself, begin anew with fp32")
    assert {low for low, _ in model.seen} == {True, False}
    assert not any(training for _, training in model.seen)
    assert model.training
    assert torch.equal(model.norm.running_mean, before)


def test_nothing_is_said_of_a_precision_that_costs_nothing():
    assert slow_precision(Timed(0.08, 0.04), torch.randn(4, 3), "bf16") is None
    assert slow_precision(Timed(0.08, 0.08), torch.randn(4, 3), "bf16") is None


def test_fp32_is_not_timed():
    model = Timed(0.0, 0.0)
    assert slow_precision(model, torch.randn(4, 3), "fp32") is None
    assert model.seen == []


def test_bf16_is_autocast_and_fp32_is_nothing():
    a = torch.randn(4, 4)
    for kind, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with precise(a.device, kind):
            assert (a @ a).dtype == dtype


@pytest.fixture
def slow(monkeypatch):
    """A machine on which the network of these runs is slow in bf16."""
    linear = nn.Linear.forward

    def forward(self, x):
        if torch.is_autocast_enabled("cpu"):
            time.sleep(0.01)
        return linear(self, x)

    monkeypatch.setattr(nn.Linear, "forward", forward)


@pytest.mark.usefixtures("slow")
def test_a_run_tells_when_it_begins_and_when_it_goes_on(tmp_path):
    begun, went_on = Notes(), Notes()
    train(settings(method="dense", steps=2, precision="bf16"), tmp_path / "whole", progress=begun)
    (said,) = begun.said
    assert said.startswith("in bf16 a forward pass of this model takes ")
    with pytest.raises(Stopped):
        train(settings(method="dense", precision="bf16"), tmp_path / "run", progress=StopAt(6))
    resume(tmp_path / "run", {}, progress=went_on)
    assert [words[:30] for words in went_on.said] == [said[:30]]
    plain = Notes()
    train(settings(method="dense", steps=2), tmp_path / "plain", progress=plain)
    assert plain.said == []
