"""Averaged copies of the weights go on after a cut as in the masked run."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from niwaki.core import GroupError
from niwaki.structure import shrink
from tests.structure.cut_nets import NETS, whole_state
from tests.structure.cut_runs import at_kept, masked_twin, one_step, trained
from tests.structure.declared import kept

every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS.keys())


def adam(parameters):
    return optim.Adam(parameters, 1e-2)


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("use_buffers", [False, True])
@every_net
def test_an_average_goes_on_as_in_the_masked_run(net, inplace, use_buffers):
    model, groups, keep, optimizer, x = trained(net, adam)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=use_buffers)
    ema.update_parameters(model)
    one_step(model, optimizer, x)
    ema.update_parameters(model)
    twin, other = masked_twin(model, groups, keep, optimizer, adam)
    twin_ema = copy.deepcopy(ema)
    small = shrink(model, groups, keep, inplace=inplace, optimizer=optimizer, ema=ema)
    assert int(ema.n_averaged) == 2
    assert repr(ema.module) == repr(small)
    one_step(small, optimizer, x)
    ema.update_parameters(small)
    one_step(twin, other, x)
    twin_ema.update_parameters(twin)
    averages = dict(ema.module.named_parameters()) | dict(ema.module.named_buffers())
    for name, tensor in averages.items():
        wanted = at_kept(groups, keep, name, whole_state(twin_ema.module)[name])
        torch.testing.assert_close(tensor.detach(), wanted, rtol=1e-8, atol=1e-10)
    ema(*x)


def test_an_average_may_be_a_plain_copy():
    model, groups, keep, _, x = trained(NETS["words"], adam)
    average = copy.deepcopy(model)
    wanted = shrink(average, groups, keep)
    small = shrink(model, groups, keep, ema=average)
    assert repr(average) == repr(small)
    assert all(torch.equal(tensor, whole_state(average)[name]) for name, tensor in whole_state(wanted).items())
    assert average.decode.weight is average.embed.weight
    average(*x)


def test_an_average_of_another_model_changes_nothing():
    net = NETS["mlp"]
    model = net.make()
    groups, keep, optimizer = net.groups(model), {"b": kept(5, 0, 4)}, optim.SGD(model.parameters(), 0.1)
    with pytest.raises(GroupError, match=r"ema= has no 'second.weight' of shape \(5, 6\); is it of this model"):
        shrink(model, groups, keep, inplace=True, optimizer=optimizer, ema=net.make(b=4))
    with pytest.raises(GroupError, match="ema= holds the model's own tensors"):
        shrink(model, groups, keep, inplace=True, optimizer=optimizer, ema=model)
    assert model.second.out_features == 5
    assert optimizer.param_groups[0]["params"][2] is model.second.weight
