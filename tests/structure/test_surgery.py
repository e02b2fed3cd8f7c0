"""Optimizers and schedulers go on after a cut as the masked run does."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn, optim
from torch.optim.swa_utils import AveragedModel

from niwaki.core import GroupError
from niwaki.methods import static
from niwaki.structure import shrink
from tests.structure.cut_nets import NETS, whole_state
from tests.structure.cut_runs import at_kept, masked_twin, one_step, trained, zero
from tests.structure.declared import group, kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, 0.1),
    "momentum": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
    "adam": lambda p: optim.Adam(p, 1e-2),
    "adamw amsgrad": lambda p: optim.AdamW(p, 1e-2, amsgrad=True, weight_decay=0.1),
    "adamw, one tensor at a time": lambda p: optim.AdamW(p, 1e-2, foreach=False),
    "adamw fused": lambda p: optim.AdamW(p, 1e-2, fused=True),
    "nadam": lambda p: optim.NAdam(p, 1e-2),
    "radam": lambda p: optim.RAdam(p, 1e-2),
    "adamax": lambda p: optim.Adamax(p, 1e-2),
    "rmsprop": lambda p: optim.RMSprop(p, 1e-2, momentum=0.9, centered=True),
    "adagrad": lambda p: optim.Adagrad(p, 1e-2),
    "adadelta": lambda p: optim.Adadelta(p, 1.0),
    "asgd": lambda p: optim.ASGD(p, 1e-2),
}


class Masters(optim.Optimizer):
    """Adam's first moment over master copies in double precision, as mixed-precision trainers keep them."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure=None):
        for entry in self.param_groups:
            for p in entry["params"]:
                state = self.state[p]
                state.setdefault("master", p.double().clone())
                state.setdefault("moment", torch.zeros_like(state["master"]))
                state["moment"].lerp_(p.grad.double(), 0.1)
                state["master"].sub_(entry["lr"] * state["moment"])
                p.copy_(state["master"])


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
@every_net
def test_live_parameters_move_as_in_the_masked_run(net, make, inplace):
    model, groups, keep, optimizer, x = trained(net, make)
    twin, other = masked_twin(model, groups, keep, optimizer, make)
    small = shrink(model, groups, keep, inplace=inplace, optimizer=optimizer)
    before = copy.deepcopy(whole_state(small))
    for _ in range(2):
        one_step(small, optimizer, x)
        one_step(twin, other, x)
        zero(twin, groups, keep)
    for name, parameter in small.named_parameters():
        wanted = at_kept(groups, keep, name, dict(twin.named_parameters())[name].detach())
        torch.testing.assert_close(parameter.detach(), wanted, rtol=1e-8, atol=1e-10)
        # Batch norm takes out whatever the bias before it adds, so that one has no gradient.
        assert name == "first.bias" or not torch.equal(parameter, before[name])


@pytest.mark.parametrize("inplace", [False, True])
@every_net
def test_nothing_dead_stays_in_the_optimizer(net, inplace):
    model, groups, keep, optimizer, _ = trained(net, OPTIMIZERS["adam"])
    small = shrink(model, groups, keep, inplace=inplace, optimizer=optimizer)
    live = {id(p) for p in small.parameters()}
    held = [p for entry in optimizer.param_groups for p in entry["params"]]
    assert {id(p) for p in held} == live and len(held) == len(live)
    assert {id(p) for p in optimizer.state} == live
    for p, state in optimizer.state.items():
        assert state["exp_avg"].shape == state["exp_avg_sq"].shape == p.shape
        assert float(state["step"]) == 3


def test_old_tensors_are_let_go():
    model, groups, keep, optimizer, x = trained(NETS["mlp"], OPTIMIZERS["adam"])
    old = weakref.ref(model.second.weight), weakref.ref(optimizer.state[model.second.weight]["exp_avg"])
    shrink(model, groups, keep, inplace=True, optimizer=optimizer)
    gc.collect()
    assert old[0]() is None and old[1]() is None
    one_step(model, optimizer, x)


def test_parameter_groups_rates_and_schedulers_go_on():
    torch.manual_seed(0)
    net = NETS["mlp"]
    model = net.make()
    model.first.bias.requires_grad_(False)
    slow, fast = list(model.first.parameters()), [*model.second.parameters(), *model.third.parameters()]
    extra = nn.Parameter(torch.ones(2))
    optimizer = optim.SGD(
        [{"params": slow, "lr": 0.1, "name": "slow"}, {"params": [*fast, extra]}], lr=1.0, momentum=0.9
    )
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    x = (torch.randn(4, 3),)
    one_step(model, optimizer, x)
    scheduler.step()
    entries, lists = list(optimizer.param_groups), [entry["params"] for entry in optimizer.param_groups]
    small = shrink(model, net.groups(model), {"b": kept(5, 0, 4)}, optimizer=optimizer)
    assert all(a is b for a, b in zip(optimizer.param_groups, entries, strict=True))
    assert all(entry["params"] is own for entry, own in zip(optimizer.param_groups, lists, strict=True))
    assert [len(own) for own in lists] == [2, 5] and lists[1][-1] is extra
    assert lists[0][0] is small.first.weight and entries[0]["name"] == "slow"
    assert not small.first.bias.requires_grad and small.first.bias not in optimizer.state
    frozen, before = small.first.bias.clone(), small.first.weight.detach().clone()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.025, 0.25]
    one_step(small, optimizer, x)
    momentum = optimizer.state[small.first.weight]["momentum_buffer"]
    torch.testing.assert_close(small.first.weight.detach(), before - 0.025 * momentum)
    assert torch.equal(small.first.bias, frozen)


def test_parameters_that_the_optimizer_does_not_hold():
    net = NETS["mlp"]
    model = net.make()
    optimizer = optim.Adam(model.second.parameters(), 0.1)
    small = shrink(model, net.groups(model), {"b": kept(5, 0, 4)}, optimizer=optimizer)
    assert optimizer.param_groups[0]["params"][0] is small.second.weight
    assert len(optimizer.param_groups[0]["params"]) == 2


def test_master_copies_in_another_dtype():
    net = NETS["mlp"]
    torch.manual_seed(0)
    model = net.make()
    optimizer, x = Masters(model.parameters()), (torch.randn(4, 3),)
    one_step(model, optimizer, x)
    keep = {"b": kept(5, 0, 4)}
    masters = {name: optimizer.state[p]["master"].clone() for name, p in model.named_parameters()}
    small = shrink(model, net.groups(model), keep, optimizer=optimizer)
    for name, p in small.named_parameters():
        assert optimizer.state[p]["master"].dtype == torch.float64
        assert torch.equal(optimizer.state[p]["master"], at_kept(net.groups(model)[1:], keep, name, masters[name]))
    one_step(small, optimizer, x)
    assert torch.equal(small.second.weight, optimizer.state[small.second.weight]["master"].float())


def test_factored_state_is_cut_where_it_has_the_axis():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 4))
    optimizer = optim.Adafactor(model.parameters())
    one_step(model, optimizer, (torch.randn(2, 3),))
    before = {key: value.clone() for key, value in optimizer.state[model[1].weight].items()}
    g = group(model, "a", 6, [("0.weight", 0), ("0.bias", 0), ("1.weight", 1)])
    small = shrink(model, [g], {"a": kept(6, 1, 5)}, optimizer=optimizer)
    after = optimizer.state[small[1].weight]
    assert torch.equal(after["row_var"], before["row_var"])
    assert torch.equal(after["col_var"], before["col_var"][:, [1, 5]])
    one_step(small, optimizer, (torch.randn(2, 3),))


def test_a_saved_state_fits_the_small_model():
    model, groups, keep, optimizer, x = trained(NETS["conv"], OPTIMIZERS["adam"])
    small = shrink(model, groups, keep, optimizer=optimizer)
    again = copy.deepcopy(small)
    fresh = OPTIMIZERS["adam"](again.parameters())
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # it would share the tensors
    one_step(small, optimizer, x)
    one_step(again, fresh, x)
    for name, tensor in whole_state(small).items():
        torch.testing.assert_close(tensor, whole_state(again)[name], rtol=0, atol=0, msg=name)


def test_a_wrapped_optimizer_is_cut_inside():
    class Wrapper(optim.Optimizer):
        def __init__(self, inner):
            self.optimizer = inner

    model, groups, keep, optimizer, _ = trained(NETS["mlp"], OPTIMIZERS["momentum"])
    small = shrink(model, groups, keep, optimizer=Wrapper(optimizer))
    assert optimizer.param_groups[0]["params"][0] is small.first.weight


def stuck(parameters):
    optimizer = optim.Adam(parameters, 0.1)
    optimizer.state[optimizer.param_groups[0]["params"][2]] = {"odd": torch.zeros(7)}
    return optimizer


def listed(parameters):
    optimizer = optim.Adam(parameters, 0.1)
    optimizer.state[optimizer.param_groups[0]["params"][0]] = {"history": [torch.zeros(2)]}
    return optimizer


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.Adam([nn.Parameter(torch.ones(1))], 0.1), "the optimizer holds no parameter of this model"),
        (lambda p: optim.LBFGS(p), "LBFGS remembers all parameters as one row"),
        (stuck, r"keeps 'odd' of shape \(7,\) for a parameter of shape \(5, 6\), which cannot be cut along with it"),
        (listed, "the optimizer keeps 'history' as a list, which cannot be cut"),
    ],
)
def test_an_optimizer_that_cannot_be_cut_changes_nothing(make, message, inplace):
    net = NETS["mlp"]
    model = net.make()
    optimizer, average = make(model.parameters()), AveragedModel(model)
    before = copy.deepcopy(whole_state(model)), repr(model), copy.deepcopy(optimizer.state_dict())
    held = [p for entry in optimizer.param_groups for p in entry["params"]]
    with pytest.raises(GroupError, match=message):
        shrink(model, net.groups(model), {"b": kept(5, 0, 4)}, inplace=inplace, optimizer=optimizer, ema=average)
    assert all(torch.equal(tensor, before[0][name]) for name, tensor in whole_state(model).items())
    assert repr(model) == repr(average.module) == before[1]
    assert optimizer.state_dict().keys() == before[2].keys()
    assert all(a is b for a, b in zip(held, optimizer.param_groups[0]["params"], strict=True))


def test_a_sparsifier_is_detached_first():
    net = NETS["mlp"]
    model = net.make()
    groups, optimizer, x = net.groups(model), optim.SGD(model.parameters(), 0.1), (torch.randn(4, 3),)
    sparsifier = static(model, groups, density=5 / 11, steps=2).attach(optimizer)
    one_step(model, optimizer, x)
    with pytest.raises(GroupError, match=r"a Sparsifier hangs on this optimizer .* call its detach\(\) first"):
        shrink(model, groups, sparsifier.keep, optimizer=optimizer)
    sparsifier.detach()
    small = shrink(model, groups, sparsifier.keep, optimizer=optimizer)
    one_step(small, optimizer, x)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
