"""A tensor that several layers share answers to each of its names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.structure import blocks, channels, discover, n_of_m, weights

X = torch.zeros(2, 4)
IGNORED = "ignored, as you asked"


class Tied(nn.Module):
    """Coder and decoder with one weight."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.enc = nn.Linear(8, 8, bias=False)
        self.dec = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 2))
        self.dec[0].weight = self.enc.weight

    def forward(self, x):
        return self.dec(self.enc(self.stem(x)))


class Mirrored(nn.Module):
    """A transposed convolution with the weight of a convolution: what one makes, the other reads."""

    def __init__(self):
        super().__init__()
        self.stem, self.down = nn.Conv1d(3, 6, 1), nn.Conv1d(6, 5, 1, bias=False)
        self.up, self.head = nn.ConvTranspose1d(5, 6, 1, bias=False), nn.Conv1d(6, 2, 1)
        self.up.weight = self.down.weight

    def forward(self, x):
        return self.head(self.up(self.down(self.stem(x)).relu()))


def names(groups):
    return [group.name for group in groups]


@pytest.mark.parametrize("chosen", ["dec", "enc", "dec.0", "dec.0.weight", "dec.*", "*c.0.weight", lambda m: m.dec])
def test_ignoring_one_of_its_layers_leaves_it_out(chosen):
    model = Tied()
    ignore = [chosen(model) if callable(chosen) else chosen]
    of_blocks, of_pattern = blocks(model, (2, 2), ignore=ignore), n_of_m(model, 2, 4, ignore=ignore)
    for groups in (weights(model, ignore=ignore), of_blocks, of_pattern):
        assert "enc.weight" not in names(groups) and groups.left_out["enc.weight"] == IGNORED
        assert {where.tensor for group in groups for where in group.slices} <= {"stem.weight", "dec.2.weight"}


@pytest.mark.parametrize("chosen", ["dec", "enc", "dec.0"])
def test_channels_leave_it_whole(chosen):
    model = Tied()
    assert "enc.weight" in {where.tensor for group in channels(model, X) for where in group.slices}
    groups = channels(model, X, ignore=[chosen])
    assert not {where.tensor for group in groups for where in group.slices} & {"enc.weight", "dec.0.weight"}
    assert groups.left_out["enc.weight"] == IGNORED


@pytest.mark.parametrize("chosen", ["up", "down"])
def test_what_the_ignored_layer_makes_stays_whichever_way_the_other_one_reads_it(chosen):
    # The six channels that `up` makes are those that `down` reads.
    model, x = Mirrored(), torch.zeros(2, 3, 4)
    assert sorted(group.size for group in discover(model, x)) == [5, 6]
    assert names(discover(model, x, ignore=[chosen])) == []


def test_a_layer_whose_only_parameter_is_tied_has_a_name():
    model = Tied()
    model.stem, model.emb = nn.Linear(8, 2), nn.Linear(8, 8, bias=False)
    model.emb.weight = model.enc.weight
    for chosen in ("emb", model.emb, "emb.weight"):
        assert names(weights(model, ignore=[chosen])) == ["stem.weight", "dec.2.weight"]
    with pytest.raises(GroupError, match="no parameter of the model matches 'embed'; known: stem.weight, stem.bias"):
        weights(model, ignore=["embed"])


def test_one_layer_under_two_names_answers_to_both():
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    model["again"] = model["a"]
    assert names(weights(model)) == ["a.weight", "b.weight"]
    assert names(weights(model, ignore=["again"])) == names(weights(model, ignore=["a"])) == ["b.weight"]


def test_one_layer_called_twice_keeps_its_outputs_not_its_inputs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.first, self.head = nn.Linear(4, 8), nn.Linear(8, 6), nn.Linear(6, 2)
            self.again = self.first

        def forward(self, x):
            return self.head(self.again(self.stem(x)) + self.first(self.stem(x)))

    assert names(channels(Twice(), X)) == ["stem", "first"]
    for chosen in ("first", "again"):
        assert names(channels(Twice(), X, ignore=[chosen])) == ["stem"]


class Words(nn.Module):
    """An embedding whose weight is also the output layer's, as in language models."""

    def __init__(self):
        super().__init__()
        self.embed, self.body = nn.Embedding(7, 4), nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embed.weight


@pytest.mark.parametrize("asked", ["head.weight", "embed.weight", "head"])
def test_asking_for_one_of_its_names_takes_it_once(asked):
    groups = weights(Words(), also=[asked])
    assert [(group.name, group.size) for group in groups] == [("embed.weight", 28), ("body.weight", 16)]


@pytest.mark.parametrize("asked", ["head.weight", "embed.weight"])
@pytest.mark.parametrize("ignored", ["head", "embed"])
def test_ignore_is_stronger_than_also_by_any_name(asked, ignored):
    assert names(weights(Words(), also=[asked], ignore=[ignored])) == ["body.weight"]


def test_a_buffer_that_is_shared_is_ignored_by_each_name():
    layers = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)
    model = nn.Sequential(*layers).eval()
    model[3].running_mean = model[1].running_mean
    assert names(channels(model, X)) == ["0"]  # the shared statistics tie both widths
    assert names(channels(model, X, ignore=["3"])) == []
