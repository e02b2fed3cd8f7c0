"""Conservation and rescaling: what holds in every ReLU network without biases."""

import pytest
import torch
from torch import nn

from niwaki.criteria import BrainDamage, Fisher, Grasp, GroupFisher, Magnitude, Snip, SynFlow, Taylor
from niwaki.signals import score
from niwaki.structure.declare import weights
from tests.criteria.problems import labelled, relu_net

BATCHES = [labelled(16, 5, 3)]


def _scores(criterion, model):
    return score(criterion, model, weights(model), BATCHES, nn.functional.cross_entropy)


def test_synaptic_flow_is_the_same_through_every_layer():
    model = relu_net(5, 9, 7, 3)
    sums = [float(value.sum()) for value in _scores(SynFlow(), model).values()]
    # The closed form: ones through the product of the absolute matrices.
    flow = torch.ones(5, dtype=torch.float64)
    for parameter in model.parameters():
        flow = parameter.detach().abs() @ flow
    assert sums == pytest.approx([float(flow.sum())] * 3)


@pytest.mark.parametrize("criterion", [SynFlow(), Snip(), Taylor()])
def test_what_flows_into_a_neuron_flows_out(criterion):
    model = relu_net(5, 9, 3)
    if isinstance(criterion, SynFlow):
        found = {
            name: value.reshape(model.get_parameter(name).shape) for name, value in _scores(criterion, model).items()
        }
    else:
        nn.functional.cross_entropy(model(BATCHES[0][0]), BATCHES[0][1]).backward()
        found = {name: (p.grad * p).detach() for name, p in model.named_parameters()}
        for name, value in _scores(criterion, model).items():
            torch.testing.assert_close(value, found[name].abs().reshape(-1))
    torch.testing.assert_close(found["0.weight"].sum(1), found["2.weight"].sum(0), rtol=1e-10, atol=1e-14)


def _rescaled(model):
    twin = relu_net(5, 9, 3)
    twin.load_state_dict(model.state_dict())
    factor = torch.linspace(0.25, 4.0, 9, dtype=torch.float64)
    with torch.no_grad():
        twin[0].weight.mul_(factor[:, None])
        twin[2].weight.div_(factor[None])
    torch.testing.assert_close(twin(BATCHES[0][0]), model(BATCHES[0][0]))
    return twin


@pytest.mark.parametrize("criterion", [Taylor(), Snip(), Fisher(), GroupFisher(), BrainDamage(), SynFlow()])
def test_moving_scale_between_layers_changes_no_score(criterion):
    model = relu_net(5, 9, 3)
    before, after = _scores(criterion, model), _scores(criterion, _rescaled(model))
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("criterion", [Magnitude(), Grasp()])
def test_criteria_that_know_the_scale_do_change(criterion):
    model = relu_net(5, 9, 3)
    before, after = _scores(criterion, model), _scores(criterion, _rescaled(model))
    assert all(not torch.allclose(after[name], value, rtol=1e-3) for name, value in before.items())


def test_masked_weights_have_no_flow_and_rounds_do_not_collapse():
    # Down to 2 percent in 50 rounds at exponential densities: every layer still carries what the others carry.
    model = relu_net(20, 30, 30, 4)
    groups = weights(model)
    total = groups.size
    data = [(torch.zeros(1, 20, dtype=torch.float64), None)]
    for k in range(1, 51):
        scores = score(SynFlow(), model, groups, data)
        removed = {g.name: model.get_parameter(g.name).detach().reshape(-1) == 0 for g in groups}
        assert all(bool((scores[name][gone] == 0).all()) for name, gone in removed.items())
        flat = torch.cat([scores[g.name].masked_fill(removed[g.name], -torch.inf) for g in groups])
        keep = torch.zeros(total, dtype=torch.bool)
        keep[flat.topk(round(total * 0.02 ** (k / 50))).indices] = True
        with torch.no_grad():
            for group, mask in zip(groups, keep.split([g.size for g in groups]), strict=True):
                parameter = model.get_parameter(group.name)
                parameter.mul_(mask.reshape(parameter.shape))
    sums = [float(value.sum()) for value in score(SynFlow(), model, groups, data).values()]
    assert sums[0] > 0
    assert sums == pytest.approx([sums[0]] * 3)
