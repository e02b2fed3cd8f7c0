"""Batch norms measured anew, against the closed form over all data."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import SignalError, TrainError
from niwaki.train import reestimate_norms


class Net(nn.Module):
    """Norms of pictures and of vectors, dropout, a norm over features, and a counter among the buffers."""

    def __init__(self):
        super().__init__()
        self.first, self.conv = nn.BatchNorm2d(2), nn.Conv2d(2, 4, 3)
        self.second, self.drop = nn.BatchNorm2d(4), nn.Dropout(0.5)
        self.line, self.third, self.free = nn.Linear(4, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3)
        self.layer, self.untracked = nn.LayerNorm(3), nn.BatchNorm1d(3, track_running_stats=False)
        self.register_buffer("seen", torch.zeros(()))
        self.fails = False

    def forward(self, x):
        self.seen.add_(1)
        x = self.drop(torch.relu(self.second(self.conv(self.first(x))))).mean((2, 3))
        if self.fails:
            raise ZeroDivisionError("in the middle of it")
        return self.layer(self.third(self.line(x)))


def _net(seed=0):
    torch.manual_seed(seed)
    model = Net()
    for norm in (model.first, model.second, model.third):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 9.0)
        norm.num_batches_tracked.fill_(77)
        nn.init.normal_(norm.weight)
    return model


def _batches(*sizes):
    return [(torch.randn(n, 2, 5, 5) * 3 + 1, None) for n in sizes]


def test_the_first_norm_has_the_statistics_of_all_data_however_they_are_cut():
    model, batches = _net(), _batches(7, 2, 5)
    everything = torch.cat([x for x, _ in batches]).double().numpy().transpose(1, 0, 2, 3).reshape(2, -1)
    assert reestimate_norms(model, batches) == ("first", "second", "third")
    np.testing.assert_allclose(model.first.running_mean.numpy(), everything.mean(1), rtol=1e-6)
    np.testing.assert_allclose(model.first.running_var.numpy(), everything.var(1, ddof=1), rtol=1e-6)
    assert model.first.num_batches_tracked.item() == 3
    # The mean of the batches' variances would be another number.
    apart = np.mean([x.transpose(0, 1).flatten(1).var(1).numpy() for x, _ in batches], axis=0)
    assert not np.allclose(apart, everything.var(1, ddof=1), rtol=1e-4)


def test_later_norms_see_what_training_shows_them():
    model, batches = _net(), _batches(6, 6, 4)
    twin = copy.deepcopy(model).eval()
    reestimate_norms(model, batches)
    entering: dict[str, list[torch.Tensor]] = {"second": [], "third": []}
    for name, seen in entering.items():
        twin.get_submodule(name).register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
    for norm in (twin.first, twin.second, twin.third):
        norm.train()
    with torch.no_grad():
        for x, _ in batches:
            twin(x)
    for name, seen in entering.items():
        rows = np.concatenate([x.transpose(0, 1).flatten(1).double().numpy() for x in seen], axis=1)
        norm = model.get_submodule(name)
        np.testing.assert_allclose(norm.running_mean.numpy(), rows.mean(1), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(norm.running_var.numpy(), rows.var(1, ddof=1), rtol=1e-5)


def test_a_network_with_the_right_statistics_keeps_its_function():
    # Its statistics are those of its one batch: forgotten, they are found again.
    model, batches = _net(), _batches(12)
    reestimate_norms(model, batches)
    model.eval()
    before = model(batches[0][0])
    for norm in (model.first, model.second, model.third):
        norm.reset_running_stats()
    assert not torch.allclose(model(batches[0][0]), before, atol=1e-2)
    reestimate_norms(model, batches)
    torch.testing.assert_close(model(batches[0][0]), before)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_else_changes(training):
    model = _net().train(training)
    model.second.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    reestimate_norms(model, _batches(4, 4))
    assert not torch.equal(torch.get_rng_state(), state)  # the data were drawn
    state = torch.get_rng_state()
    reestimate_norms(model, _fixed())
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())
    for name, tensor in model.state_dict().items():
        changes = name.startswith(("first.", "second.", "third.")) and "weight" not in name and "bias" not in name
        assert torch.equal(tensor, before[name]) != changes, name
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def _fixed():
    return [(torch.arange(200.0).reshape(4, 2, 5, 5).sin(), None)]


def test_a_failure_leaves_the_old_statistics():
    model = _net()
    model.fails = True
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    with pytest.raises(ZeroDivisionError, match="in the middle of it"):
        reestimate_norms(model, _batches(4))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_moving_average_is_the_one_of_training():
    model, batches = _net(), _batches(6, 4, 5)
    theirs = copy.deepcopy(model).eval()
    for norm in (theirs.first, theirs.second, theirs.third):
        norm.momentum = 0.3
        norm.train()
    with torch.no_grad():
        for x, _ in batches:
            theirs(x)
    reestimate_norms(model, batches, momentum=0.3)
    for name in ("first", "second", "third"):
        ours, other = model.get_submodule(name), theirs.get_submodule(name)
        torch.testing.assert_close(ours.running_mean, other.running_mean)
        torch.testing.assert_close(ours.running_var, other.running_var)
        assert ours.num_batches_tracked.item() == other.num_batches_tracked.item() == 80


def test_data_far_from_zero_do_not_cancel():
    norm = nn.BatchNorm1d(1, dtype=torch.float64)
    norm.running_mean.fill_(1e9)
    x = 1e9 + torch.randn(1000, 1, dtype=torch.float64)
    reestimate_norms(norm, [x[:300], x[300:]])
    assert norm.running_var.item() == pytest.approx((x - 1e9).var().item(), rel=1e-6)
    # Old statistics that are no numbers are forgotten like any others.
    norm.running_mean.fill_(torch.nan)
    norm.running_var.fill_(torch.inf)
    reestimate_norms(norm, [torch.tensor([[1.0], [3.0]], dtype=torch.float64)])
    assert (norm.running_mean.item(), norm.running_var.item()) == (2.0, 2.0)


def test_a_norm_used_twice_sees_both():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(1)

        def forward(self, *, a, b):
            return self.norm(input=a) + self.norm(b)

    model = Twice()
    a, b = torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0], [6.0]])
    assert reestimate_norms(model, [{"a": a, "b": b}]) == ("norm",)
    assert (model.norm.running_mean.item(), model.norm.running_var.item()) == pytest.approx((3.0, 14 / 3))
    model.norm.reset_running_stats()
    reestimate_norms(model, [(a, b)], step=lambda m, batch: m(a=batch[0], b=batch[1]))
    assert model.norm.running_mean.item() == pytest.approx(3.0)


def test_models_without_batch_norms_have_nothing_to_measure():
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    assert reestimate_norms(model, [torch.randn(3, 2)]) == ()


def test_errors_say_what_to_do():
    model = _net()
    with pytest.raises(TrainError, match=r"momentum 1.5 is outside \(0, 1\]; leave it out for the exact"):
        reestimate_norms(model, _batches(4), momentum=1.5)
    with pytest.raises(
        TrainError, match=r"'third' saw one value per channel \(input of shape \(1, 3\)\).*larger batch"
    ):
        reestimate_norms(model, _batches(4, 1))
    with pytest.raises(SignalError, match="there were no batches"):
        reestimate_norms(model, [])
