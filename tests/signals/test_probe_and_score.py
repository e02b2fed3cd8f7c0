"""Probes and scores: the same measurements, packed."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from niwaki.core import Group, Slice
from niwaki.criteria import Fisher, Grasp, Magnitude, SynFlow, Taylor
from niwaki.signals import collect, probe, score
from niwaki.structure.declare import weights

LOSS = nn.functional.cross_entropy


def _setting():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    batches = [(torch.randn(n, 3), torch.randint(0, 2, (n,))) for n in (5, 2)]
    return model, batches


def test_a_probe_measures_what_it_is_asked_for():
    model, batches = _setting()
    measure = probe(batches, LOSS, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        found = measure(model, frozenset({"grad_sq", "hessian_grad"}))
        direct = collect(model, batches, LOSS, needs={"grad_sq", "hessian_grad"})
        assert set(found.values) == {"grad_sq", "hessian_grad"}
        for kind in found.values:
            assert torch.equal(found.of(kind, "0.weight"), direct.of(kind, "0.weight"))


def test_a_probe_sees_the_model_as_it_is_when_asked():
    model, batches = _setting()
    measure = probe(DataLoader(TensorDataset(*batches[0]), batch_size=2), LOSS, tensors=weights(model))
    before = measure(model, frozenset({"grad_sq"}))
    assert set(before.values["grad_sq"]) == {"0.weight", "2.weight"}
    with torch.no_grad():
        model[2].weight.zero_()
    after = measure(model, frozenset({"grad_sq"}))
    assert before.of("grad_sq", "0.weight").any()
    assert not after.of("grad_sq", "0.weight").any()


def test_a_probe_may_have_a_step_of_its_own():
    model, batches = _setting()
    measure = probe(batches, step=lambda m, batch: 2 * LOSS(m(batch[0]), batch[1]))
    found, plain = measure(model, frozenset({"grad"})), collect(model, batches, LOSS, needs={"grad"})
    torch.testing.assert_close(found.of("grad", "0.bias"), 2 * plain.of("grad", "0.bias"))


def test_scores_are_the_criterion_on_the_signals():
    model, batches = _setting()
    groups = weights(model)
    for criterion in (Magnitude(), Taylor(), Fisher(), Grasp(), SynFlow()):
        found = score(criterion, model, groups, batches, LOSS, per_batch=False)
        signals = collect(model, batches, LOSS, needs=criterion.needs)
        assert list(found) == ["0.weight", "2.weight"]
        for group in groups:
            assert torch.equal(found[group.name], criterion(group, signals))
            assert not found[group.name].requires_grad


def test_magnitude_wants_no_data():
    model, _ = _setting()
    rows = Group("rows", 4, (Slice("0.weight", (4, 3), dim=0, index=torch.arange(4).reshape(4, 1)),), kind="channel")
    torch.testing.assert_close(score(Magnitude(), model, [rows])["rows"], model[0].weight.detach().norm(dim=1))


def test_scores_batch_by_batch_are_the_mean_over_batches():
    model, batches = _setting()
    (group, _) = groups = weights(model)
    found = score(Taylor(), model, groups, batches, LOSS, per_batch=True)[group.name]
    expected = torch.zeros(12)
    for inputs, target in batches:
        gradient = torch.autograd.grad(LOSS(model(inputs), target), model[0].weight)[0]
        expected += (gradient * model[0].weight.detach()).abs().reshape(-1) / 2
    torch.testing.assert_close(found, expected)
    at_once = score(Taylor(), model, groups, batches, LOSS, per_batch=False)[group.name]
    assert bool((at_once <= found + 1e-7).all())
    # Read once from an iterator, too.
    again = score(Taylor(), model, groups, iter(batches), LOSS)[group.name]
    assert torch.equal(again, found)
