"""Criteria on channels: groups whose units lie in several tensors, declared by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import GroupError, SignalError, Signals
from niwaki.criteria import (
    Fisher,
    GeometricMedian,
    GroupFisher,
    Lamp,
    Magnitude,
    Normalised,
    NormScale,
    Random,
    SecondTaylor,
    Taylor,
    Wanda,
)
from niwaki.signals import score
from niwaki.structure.declare import weights
from tests.criteria.channels import LOSS, channel_group, conv_net, gradients_of_loss, numbers_of


def test_taylor_sums_over_all_tensors_of_a_channel_first_if_all_count():
    model, groups, batches = conv_net()
    found = score(Taylor(roles=None), model, groups, batches, LOSS, per_batch=False)
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    gradients = gradients_of_loss(model, x, y)
    values = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    for group in groups:
        for unit in range(group.size):
            change = numbers_of(group, unit, gradients) @ numbers_of(group, unit, values)
            assert found[group.name][unit].item() == pytest.approx(abs(change), rel=1e-3, abs=1e-6)


def _activation_times_gradient(model, inputs, target):
    """By group and sample, summed over positions: what removing a channel does to a sample's loss, to first order."""
    one = torch.relu(model.norm_one(model.one(inputs)))
    two = torch.relu(model.norm_two(model.two(one)))
    one.retain_grad()
    two.retain_grad()
    LOSS(model.head(two.flatten(1)), target, reduction="sum").backward()
    return {n: (a * a.grad).sum((2, 3)).detach().double().numpy() for n, a in (("one", one), ("two", two))}


def test_group_fisher_is_the_mean_square_of_activation_times_gradient():
    model, groups, batches = conv_net()
    found = score(GroupFisher(), model, groups, batches, LOSS)
    apart = score(Fisher(roles=("in",)), model, groups, batches, LOSS)
    each_batch = [_activation_times_gradient(model, *batch) for batch in batches]
    for group in groups:
        change = np.concatenate([found_here[group.name] for found_here in each_batch])
        np.testing.assert_allclose(found[group.name].numpy(), (change**2).mean(0), rtol=1e-3)
        # Taking the members as independent gives another number.
        assert not np.allclose(apart[group.name].numpy(), (change**2).mean(0), rtol=0.2)


def test_where_a_channel_is_read_and_where_its_norm_is_taylor_says_the_same():
    model, groups, batches = conv_net()
    read = score(Taylor(roles=("in",)), model, groups, batches, LOSS)
    norm = score(Taylor(roles=("scale", "shift")), model, groups, batches, LOSS)
    by_itself = score(Taylor(), model, groups, batches, LOSS)
    each_batch = [_activation_times_gradient(model, *batch) for batch in batches]
    for group in groups:
        change = np.stack([found_here[group.name].mean(0) for found_here in each_batch])
        np.testing.assert_allclose(read[group.name].numpy(), np.abs(change).mean(0), rtol=1e-2, atol=1e-6)
        torch.testing.assert_close(read[group.name], norm[group.name], rtol=1e-2, atol=1e-6)
        torch.testing.assert_close(read[group.name], by_itself[group.name])


def test_on_single_weights_group_fisher_is_fisher():
    model, _, batches = conv_net()
    groups = weights(model)
    ours, theirs = (score(criterion, model, groups, batches, LOSS) for criterion in (GroupFisher(), Fisher()))
    for group in groups:
        torch.testing.assert_close(ours[group.name], theirs[group.name], rtol=1e-4, atol=1e-9)
        assert float(ours[group.name].max()) > 0


ALL = [
    Random(),
    Magnitude(),
    Magnitude(1, roles=("out",)),
    NormScale(),
    GeometricMedian(),
    Taylor(),
    SecondTaylor(),
    SecondTaylor("gate_hessian_diag"),
    SecondTaylor("grad_sq"),
    Fisher(),
    Fisher(roles=("in",)),
    GroupFisher(),
    Wanda(),
    Normalised(GroupFisher()),
    Lamp(Magnitude(roles=("out",))),
]


@pytest.mark.parametrize("criterion", ALL, ids=repr)
def test_every_criterion_scores_every_channel(criterion):
    model, groups, batches = conv_net()
    found = score(criterion, model, groups, batches, LOSS, generator=torch.Generator().manual_seed(0))
    for group in groups:
        assert found[group.name].shape == (group.size,)
        assert len(found[group.name].unique()) == group.size


@pytest.mark.parametrize(
    "criterion", [NormScale(), Taylor(), Taylor(roles=("scale", "shift")), GroupFisher(), SecondTaylor()], ids=repr
)
def test_a_channel_that_its_norm_turns_off_scores_lowest(criterion):
    model, groups, batches = conv_net()
    with torch.no_grad():
        for name in ("norm_one.weight", "norm_one.bias"):
            model.get_parameter(name)[3] = 0
    generator = torch.Generator().manual_seed(0)
    found = score(criterion, model, groups[:1], batches, LOSS, generator=generator)["one"]
    assert found.argmin().item() == 3
    assert found[3].item() == 0


class Keywords(nn.Module):
    """Two named inputs and a mapping as output."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(3, 6), nn.Linear(2, 6), nn.Linear(6, 3)

    def forward(self, *, left, right):
        return {"logits": self.out(torch.tanh(self.a(left) + self.b(right)))}


@pytest.mark.parametrize("criterion", ALL, ids=repr)
def test_models_with_several_inputs_by_keyword(criterion):
    torch.manual_seed(0)
    model = Keywords()
    group = channel_group(
        "hidden", 6,
        ("a.weight", (6, 3), 0, 1, "out"), ("a.bias", (6,), 0, 1, "bias"), ("b.weight", (6, 2), 0, 1, "out"),
        ("b.bias", (6,), 0, 1, "scale"), ("out.weight", (3, 6), 1, 1, "in"),
    )  # fmt: skip
    inputs = [{"left": torch.randn(n, 3), "right": torch.randn(n, 2)} for n in (5, 3)]
    targets = [torch.randint(0, 3, (n,)) for n in (5, 3)]

    def found(batches, **more):
        return score(criterion, model, [group], batches, generator=torch.Generator().manual_seed(0), **more)["hidden"]

    pairs = found(list(zip(inputs, targets, strict=True)), loss=lambda out, y: LOSS(out["logits"], y))
    assert pairs.shape == (6,)
    flat = [{**x, "labels": y} for x, y in zip(inputs, targets, strict=True)]

    def step(m, batch):
        return LOSS(m(left=batch["left"], right=batch["right"])["logits"], batch["labels"])

    torch.testing.assert_close(found(flat, step=step), pairs)


def test_filter_norms_look_at_the_filters_alone():
    model, groups, _ = conv_net()
    for norm in (1, 2):
        found = score(Magnitude(norm, roles=("out",)), model, groups)
        for layer in ("one", "two"):
            filters = model.get_submodule(layer).weight.detach().flatten(1).double().numpy()
            np.testing.assert_allclose(found[layer].numpy(), np.linalg.norm(filters, norm, axis=1), rtol=1e-5)


def test_norm_scale_is_the_mean_over_the_norms_of_a_channel():
    # Channel 0: |0.5|, |-1|: 0.75; channel 1: |2|, |4|: 3. The shift is another tensor.
    group = channel_group("c", 2, ("g", (2,), 0, 1, "scale"), ("h", (2,), 0, 1, "scale"), ("s", (2,), 0, 1, "shift"))
    values = {"g": torch.tensor([0.5, 2.0]), "h": torch.tensor([-1.0, 4.0]), "s": torch.tensor([-7.0, 8.0])}
    assert NormScale()(group, Signals({"weight": values})).tolist() == [0.75, 3.0]
    assert NormScale("shift")(group, Signals({"weight": values})).tolist() == [7.0, 8.0]


def test_a_role_that_nobody_plays_is_an_error():
    model, groups, _ = conv_net()
    plain = channel_group("plain", 5, ("one.weight", (5, 2, 3, 3), 0, 1, "out"), ("one.bias", (5,), 0, 1, "bias"))
    match = (
        r"group 'plain' has no slice with the role 'scale' \(it has: bias, out\); leave the group out, choose another"
    )
    with pytest.raises(GroupError, match=match):
        score(NormScale(), model, [*groups, plain])
    with pytest.raises(GroupError, match=r"'0.weight' has no slice with the role 'scale' \(it has: none\)"):
        score(NormScale(), nn.Sequential(nn.Linear(2, 2)), weights(nn.Sequential(nn.Linear(2, 2))))
    with pytest.raises(GroupError, match="'plain' has no slice with the role 'in' or 'scale'"):
        score(Magnitude(roles=("in", "scale")), model, [plain])


def test_a_signal_of_other_units_is_refused():
    group = channel_group("c", 3, ("w", (3, 2), 0, 1, "out"))
    with pytest.raises(SignalError, match=r"'gate_grad_sq' of group 'c' has shape \(4,\), and the group 3 units"):
        GroupFisher()(group, Signals({"gate_grad_sq": {"c": torch.ones(4)}}))


def test_switches_that_do_not_exist():
    with pytest.raises(SignalError, match="Wanda takes the 'mean' or the 'sum' over rows, not 'max'"):
        Wanda("max")
    with pytest.raises(SignalError, match="NormScale knows the roles 'scale' and 'shift', not 'out'"):
        NormScale("out")
    with pytest.raises(SignalError, match="Normalised knows 'mean', 'max', .* not 'median'"):
        Normalised(Magnitude(), "median")
    with pytest.raises(SignalError, match="SecondTaylor knows 'abs_mean', 'square', not 'mean_abs'"):
        SecondTaylor(reduce="mean_abs")
