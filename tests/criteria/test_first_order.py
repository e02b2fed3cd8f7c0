"""First-order criteria against losses whose change is known."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import Group, SignalError, Signals, Slice
from niwaki.criteria import Magnitude, Movement, Snip, Taylor
from niwaki.signals import score
from niwaki.structure.declare import blocks, weights
from tests.criteria.problems import labelled, mean_output, relu_net

ROWS = Group("weight", 2, (Slice("weight", (2, 3), tile=(1, 3)),), kind="block")


def _linear():
    model = nn.Linear(3, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]]))
    return model


def _two_batches():
    # With loss = mean output, the gradient of both rows is the mean input / 2 (two outputs).
    first = torch.tensor([[2.0, 0.0, 2.0], [2.0, 4.0, -2.0]], dtype=torch.float64)  # mean (2, 2, 0): g = (1, 1, 0)
    second = torch.tensor([[-6.0, 2.0, 4.0], [2.0, -2.0, 0.0]], dtype=torch.float64)  # mean (-2, 0, 2): g = (-1, 0, 1)
    return [(first, None), (second, None)]


def test_taylor_of_all_batches_at_once_by_hand():
    # Mean gradient (0, 1/2, 1/2). Row 0: 0 - 1 + 1.5 = 0.5; row 1: 0 + 0 - 0.5.
    model, batches = _linear(), _two_batches()
    inside = score(Taylor(), model, [ROWS], batches, mean_output, per_batch=False)["weight"]
    assert inside.tolist() == pytest.approx([0.5, 0.5])
    # Outside: |1| + |1.5| and |0.5|.
    outside = score(Taylor("outside"), model, [ROWS], batches, mean_output, per_batch=False)["weight"]
    assert outside.tolist() == pytest.approx([2.5, 0.5])
    square = score(Taylor(reduce="square"), model, [ROWS], batches, mean_output, per_batch=False)["weight"]
    assert square.tolist() == pytest.approx([0.25, 0.25])


def test_taylor_batch_by_batch_by_hand():
    # g_1 theta: row 0: 1 - 2 + 0 = -1, row 1: 0.5; g_2 theta: row 0: -1 + 0 + 3 = 2, row 1: -0.5 - 1 = -1.5.
    model, batches = _linear(), _two_batches()
    mean_abs = score(Taylor(), model, [ROWS], batches, mean_output)["weight"]
    assert mean_abs.tolist() == pytest.approx([(1 + 2) / 2, (0.5 + 1.5) / 2])
    mean_square = score(Taylor(reduce="square"), model, [ROWS], batches, mean_output, per_batch=True)["weight"]
    assert mean_square.tolist() == pytest.approx([(1 + 4) / 2, (0.25 + 2.25) / 2])


@pytest.mark.parametrize(("reduce", "twin"), [("mean_abs", "abs_mean"), ("sq_mean", "square")])
def test_means_over_batches_from_signals_equal_means_of_scores(reduce, twin):
    model, batches = _linear(), _two_batches()
    for groups, grouping in ((weights(model), "inside"), ([ROWS], "outside")):
        at_once = score(Taylor(grouping, reduce), model, groups, batches, mean_output)["weight"]
        averaged = score(Taylor(grouping, twin), model, groups, batches, mean_output, per_batch=True)["weight"]
        torch.testing.assert_close(at_once, averaged, rtol=1e-12, atol=0)
        single = score(Taylor(grouping, twin), model, groups, batches, mean_output, per_batch=False)["weight"]
        assert not torch.allclose(single, averaged)


@pytest.mark.parametrize(("reduce", "remedy"), [("mean_abs", "abs_mean"), ("sq_mean", "square")])
def test_sums_inside_units_cannot_be_had_from_means_of_elements(reduce, remedy):
    with pytest.raises(SignalError, match=rf"group 'weight'.*Taylor\(reduce='{remedy}'\), whose .* average over"):
        score(Taylor("inside", reduce), _linear(), [ROWS], _two_batches(), mean_output)


def test_taylor_is_exact_where_the_loss_is_linear_in_the_weights():
    # The loss is linear, so what removing a block does is the first-order term, with nothing left over.
    model = nn.Linear(5, 4, bias=False, dtype=torch.float64)
    x = torch.randn(7, 5, dtype=torch.float64)
    groups = blocks(model, (2, 2))
    found = score(Taylor(), model, groups, [(x, None)], mean_output)["weight"]
    with torch.no_grad():
        whole = model(x).mean()
        for unit in range(6):
            row, col = 2 * (unit // 3), 2 * (unit % 3)
            less = model.weight.clone()
            less[row : row + 2, col : col + 2] = 0
            assert found[unit].item() == pytest.approx(abs(float((x @ less.T).mean() - whole)))


def test_outside_is_never_less_than_inside():
    model = relu_net(6, 8, 3)
    groups, batches = blocks(model, (2, 3)), [labelled(20, 6, 3)]
    inside = score(Taylor(), model, groups, batches, nn.functional.cross_entropy)
    outside = score(Taylor("outside"), model, groups, batches, nn.functional.cross_entropy)
    for group in groups:
        assert bool((outside[group.name] >= inside[group.name] - 1e-15).all())
        assert bool((outside[group.name] > 1.01 * inside[group.name]).any())


def test_snip_is_taylor_up_to_a_constant():
    model = relu_net(6, 8, 3)
    batch = labelled(20, 6, 3)
    groups = weights(model)
    snip = score(Snip(), model, groups, [batch], nn.functional.cross_entropy)
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    raw = {name: (p.grad * p).abs().detach().numpy().ravel() for name, p in model.named_parameters()}
    total = sum(value.sum() for value in raw.values())
    published = np.concatenate([value / total for value in raw.values()])
    ours = np.concatenate([snip[name].numpy() for name in raw])
    np.testing.assert_allclose(ours / ours.sum(), published, rtol=1e-10)


def test_movement_is_the_change_of_half_the_squared_weight_per_unit_of_learning_rate():
    # d(theta^2)/2 = theta dtheta = -lr * g * theta for one small step of gradient descent.
    model = relu_net(4, 5, 2)
    batch, rate = labelled(10, 4, 2), 1e-6
    found = score(Movement(), model, weights(model), [batch], nn.functional.cross_entropy)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    nn.functional.cross_entropy(model(batch[0]), batch[1]).backward()
    torch.optim.SGD(model.parameters(), lr=rate).step()
    signs = set()
    for name, parameter in model.named_parameters():
        grown = (parameter.detach() ** 2 - before[name] ** 2) / (2 * rate)
        torch.testing.assert_close(found[name], grown.reshape(-1), rtol=1e-4, atol=1e-5)
        signs |= set(torch.sign(found[name]).tolist())
    assert {-1.0, 1.0} <= signs


@pytest.mark.parametrize("norm", [1, 2])
def test_masked_weights_have_no_magnitude_and_tiny_ones_do_not_tie(norm):
    group = Group("w", 4, (Slice("w", (4,)),))
    # The squares of the last two lie below what float32 can hold.
    signals = Signals({"weight": {"w": torch.tensor([0.0, -1.0, 1e-30, 2e-30])}})
    assert Magnitude(norm)(group, signals).tolist() == pytest.approx([0.0, 1.0, 1e-30, 2e-30], rel=1e-6)


def test_unknown_forms_are_refused():
    with pytest.raises(SignalError, match="Taylor knows 'inside', 'outside', not 'beside'"):
        Taylor("beside")
    with pytest.raises(SignalError, match="Taylor knows .*'sq_mean', not 'median'"):
        Taylor(reduce="median")
    with pytest.raises(SignalError, match="roles='out' is neither 'gate' nor a tuple of roles"):
        Taylor(roles="out")
    with pytest.raises(SignalError, match="Magnitude knows the norms 1 and 2, not 3"):
        Magnitude(3)
