"""Verify says what is true: that two models agree, and if not, where they part first."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from niwaki.core import GroupError
from niwaki.core.gaps import tensors_in
from niwaki.structure import shrink, verify
from tests.structure.cut_nets import NETS, by_hand, small_of, whole_state
from tests.structure.declared import group, kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


@every_net
def test_a_shrunk_model_is_found_the_same(net):
    model, small, groups, keep = small_of(net)
    before, after = copy.deepcopy(model), copy.deepcopy(small)
    x = net.example()
    verdict = verify(model, small, groups, keep, x)
    assert verdict and verdict.same and verdict.where == ""
    assert verdict.difference <= verdict.tolerance < verdict.effect
    with torch.no_grad():
        dense, zeroed = (tensors_in(each.eval()(*x)) for each in (before, by_hand(model, groups, keep)))
    effect = max(float((dense[at].double() - zeroed[at].double()).abs().max()) for at in dense)
    assert verdict.effect == pytest.approx(effect, rel=1e-6)
    assert str(verdict).startswith("masked and shrunk model agree: the largest difference is")
    assert "proves little" not in str(verdict)
    before.train()
    for one, other in ((model, before), (small, after)):
        assert all(torch.equal(tensor, whole_state(other)[name]) for name, tensor in whole_state(one).items())
        assert one.training and not any(m._forward_hooks or m._forward_pre_hooks for m in one.modules())


@every_net
def test_the_difference_is_the_true_one(net):
    model, small, groups, keep = small_of(net)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x = net.example()
    verdict = verify(model, small, groups, keep, x)
    outs = [tensors_in(each.eval()(*x)) for each in (by_hand(model, groups, keep), small)]
    wanted = max(float((a.detach().double() - outs[1][at].detach().double()).abs().max()) for at, a in outs[0].items())
    assert not verdict
    assert verdict.difference == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize(
    ("net", "change", "where", "kind"),
    [
        ("conv", "first.weight", "first", "Conv2d"),
        ("conv", "norm.running_var", "norm", "BatchNorm2d"),
        ("conv", "branch.weight", "branch", "Conv2d"),
        ("conv", "side.bias", "side", "Conv2d"),
        ("words", "lstm.bias_hh_l0", "lstm", "LSTM"),
        ("words", "twice.bias", "twice", "Linear"),
        ("mlp", "second.weight", "second", "Linear"),
        ("mlp", "third.bias", "third", "Linear"),
    ],
)
def test_the_first_module_that_parts_is_named(net, change, where, kind):
    model, small, groups, keep = small_of(NETS[net])
    with torch.no_grad():
        whole_state(small)[change].add_(1.0)
    verdict = verify(model, small, groups, keep, NETS[net].example())
    assert not verdict
    assert verdict.where == where
    assert f"they part first in {where!r} ({kind}), by " in verdict.words


def test_a_difference_between_modules():
    model, small, groups, keep = small_of(NETS["conv"])
    with torch.no_grad():
        small.scale.add_(1.0)  # used in the model's own forward
    verdict = verify(model, small, groups, keep, NETS["conv"].example())
    assert verdict.where == "head"


def test_wrong_units_are_found_where_they_are_cut():
    net = NETS["mlp"]
    model, _, groups, keep = small_of(net)
    small = shrink(model, groups, {**keep, "b": kept(5, 0, 2, 4)})  # not 1, 2, 4
    verdict = verify(model, small, groups, keep, net.example())
    assert verdict.where == "second"


def test_outputs_of_other_shapes_or_names():
    net = NETS["mlp"]
    model, small, groups, keep = small_of(net)
    small.third = nn.Linear(3, 3)
    verdict = verify(model, small, groups, keep, net.example())
    assert not verdict
    assert "output['out'] has shape (4, 2) in the masked model and (4, 3) in the shrunk one" in verdict.words
    assert verdict.where == "third"

    small.forward = lambda x: {"other": x}
    verdict = verify(model, small, groups, keep, net.example())
    assert verdict.words.startswith(
        "the masked model gives output['out'], output['pair'][0], output['pair'][1][0], the shrunk"
    )


def test_a_shrunk_model_that_does_not_run():
    net = NETS["mlp"]
    model, small, groups, keep = small_of(net)
    small.second = nn.Linear(7, 3)
    verdict = verify(model, small, groups, keep, net.example())
    assert not verdict and verdict.difference == float("inf")
    assert verdict.where == "second"
    assert "the shrunk model does not run in module 'second' (Linear): RuntimeError: " in verdict.words


def test_inexact_groups_are_told():
    model = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 2))
    places = [("0.weight", 0), ("0.bias", 0), ("1.weight", 0), ("1.bias", 0), ("2.weight", 1)]
    g = group(model, "a", 6, places, exact=False)
    keep = {"a": kept(6, 0, 1, 4)}
    verdict = verify(model, shrink(model, [g], keep), [g], keep, torch.randn(4, 3))
    assert verdict.where == "1"
    assert "a is marked exact=False (a norm runs over the cut axis)" in verdict.words


def test_inputs_by_name_and_what_cannot_be_read():
    net = NETS["mlp"]
    model, small, groups, keep = small_of(net)
    x = torch.randn(4, 3)
    assert verify(model, small, groups, keep, x)
    assert verify(model, small, groups, keep, {"x": x})
    assert verify(model, small, groups, keep, [x])
    with pytest.raises(GroupError, match="inputs= is a int; give a tensor, a tuple of inputs, or a mapping"):
        verify(model, small, groups, keep, 3)


def test_nothing_is_proved_by_nothing():
    class Silent(nn.Linear):
        factor = 0.0

        def forward(self, x):
            return super().forward(x) * self.factor if self.factor else None

    model = Silent(3, 4)
    g = group(model, "a", 4, [("weight", 0), ("bias", 0)])
    with pytest.raises(GroupError, match="the model gives a NoneType without tensors"):
        verify(model, copy.deepcopy(model), [g], {}, torch.randn(2, 3))
    model.factor = float("nan")
    verdict = verify(model, copy.deepcopy(model), [g], {}, torch.randn(2, 3))
    assert not verdict and "output of the masked model holds NaN, which proves nothing" in verdict.words


def test_the_tolerance_is_that_of_the_dtype_or_the_one_given():
    net = NETS["mlp"]
    model, small, groups, keep = small_of(net)
    x = torch.randn(4, 3)
    with torch.no_grad():
        small.third.bias.add_(1e-6)
    assert verify(model, small, groups, keep, x)
    assert not verify(model, small, groups, keep, x, tolerance=1e-8)
    assert not verify(model.double(), small.double(), groups, keep, x.double())


def test_buffers_that_a_forward_writes_on_stay_as_they_are():
    class Counting(nn.Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls.add_(1)
            return super().forward(x) + self.calls

    model = Counting(nn.Linear(3, 6), nn.Linear(6, 2))
    g = group(model, "a", 6, [("0.weight", 0), ("0.bias", 0), ("1.weight", 1)])
    keep = {"a": kept(6, 0, 1)}
    small = shrink(model, [g], keep)
    assert verify(model, small, [g], keep, torch.randn(4, 3))
    assert float(model.calls) == float(small.calls) == 0


def test_small_outputs_are_compared_by_their_own_size():
    net = NETS["conv"]
    model, small, groups, keep = small_of(net)
    x = net.example()
    with torch.no_grad():
        for each in (model, small):
            each.head.weight.mul_(1e-12)
            each.head.bias.mul_(1e-12)
        assert verify(model, small, groups, keep, x)
        small.head.weight.mul_(1.01)
    assert not verify(model, small, groups, keep, x)


def test_agreement_that_proves_little_says_so():
    net = NETS["conv"]
    model, small, groups, keep = small_of(net)
    with torch.no_grad():
        model.head.weight.zero_()
        small.head.weight.zero_()
    verdict = verify(model, small, groups, keep, net.example())
    assert verdict and verdict.effect == 0
    assert str(verdict).endswith("but removing these units changes the outputs by only 0, so this proves little")


def test_an_output_of_rounding_errors_beside_a_real_one():
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 6), nn.Linear(6, 2)

        def forward(self, x):
            out = self.b(self.a(x))
            return out, out.sum(0) - out.flip(0).sum(0)  # zero, but for rounding

    torch.manual_seed(0)
    model = Both()
    g = group(model, "a", 6, [("a.weight", 0), ("a.bias", 0), ("b.weight", 1)])
    keep = {"a": kept(6, 0, 1, 3)}
    assert verify(model, shrink(model, [g], keep), [g], keep, torch.randn(50, 3))


def test_dropout_is_off_and_random_numbers_are_the_same():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.drop, self.b = nn.Linear(3, 6), nn.Dropout(0.5), nn.Linear(6, 2)

        def forward(self, x):
            return self.b(self.drop(self.a(x))) + torch.randn(2)

    model = Noisy()
    g = group(model, "a", 6, [("a.weight", 0), ("a.bias", 0), ("b.weight", 1)])
    keep = {"a": kept(6, 0, 1)}
    before = torch.random.get_rng_state()
    assert verify(model, shrink(model, [g], keep), [g], keep, torch.ones(4, 3))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("on_meta", ["model", "small", "inputs"])
def test_what_has_no_values_cannot_be_compared(on_meta):
    model, small, groups, keep = small_of(NETS["mlp"])
    given = {"model": model, "small": small, "inputs": NETS["mlp"].example()}
    thing = given[on_meta]
    given[on_meta] = thing.to("meta") if isinstance(thing, nn.Module) else tuple(x.to("meta") for x in thing)
    with pytest.raises(
        GroupError, match=f"{on_meta}= has tensors on the meta device, .* nothing can be compared; make"
    ):
        verify(given["model"], given["small"], groups, keep, given["inputs"])
