"""LAMP against its definition, and its promise about survivors."""

import numpy as np
import pytest
import torch
from torch import nn

from niwaki.core import Group, SignalError, Signals, Slice
from niwaki.criteria import Lamp, Magnitude, Movement
from niwaki.signals import score
from niwaki.structure.declare import blocks, weights


def _by_definition(sizes):
    order = np.argsort(sizes, kind="stable")
    ascending = np.asarray(sizes, dtype=np.float64)[order] ** 2
    scores = np.empty(len(sizes))
    for place in range(len(sizes)):
        below = ascending[place:].sum()
        scores[order[place]] = ascending[place] / below if below else 0.0
    return scores


def _vector(values):
    tensor = torch.tensor(values)
    return Group("w", tensor.numel(), (Slice("w", (tensor.numel(),)),)), Signals({"weight": {"w": tensor}})


def test_by_hand():
    # Squares 9, 1, 4: 9/9, 1/(1 + 4 + 9), 4/(4 + 9).
    assert Lamp()(*_vector([3.0, -1.0, 2.0])).tolist() == pytest.approx([1.0, 1 / 14, 4 / 13])


def test_against_the_definition():
    values = np.random.default_rng(0).normal(size=200)
    np.testing.assert_allclose(Lamp()(*_vector(values)).numpy(), _by_definition(np.abs(values)), rtol=1e-12)


def test_the_order_in_a_layer_is_that_of_magnitudes_and_the_largest_scores_one():
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    lamp, magnitude = (score(criterion, model, weights(model)) for criterion in (Lamp(), Magnitude()))
    for name, value in lamp.items():
        assert torch.equal(torch.argsort(value), torch.argsort(magnitude[name]))
        assert float(value.max()) == 1.0


@pytest.mark.parametrize("keep", [3, 4, 10, 50])
def test_no_layer_is_emptied_while_another_has_two(keep):
    # Layers of very unequal scale: by plain magnitude the first two would be emptied.
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 8))
    with torch.no_grad():
        model[0].weight.mul_(1e-6)
        model[1].weight.mul_(1e-3)
    groups = weights(model)
    scores = score(Lamp(), model, groups)
    flat = torch.cat([scores[g.name] for g in groups])
    chosen = torch.zeros(groups.size, dtype=torch.bool)
    chosen[torch.sort(flat, descending=True, stable=True).indices[:keep]] = True
    assert all(int(part.sum()) >= 1 for part in chosen.split([g.size for g in groups]))
    plain = torch.cat([score(Magnitude(), model, groups)[g.name] for g in groups])
    assert int(plain.topk(32).indices.min()) >= 50


def test_removed_units_add_nothing_and_score_zero():
    group, signals = _vector([3.0, 0.0, 0.0, 1.0])
    assert Lamp()(group, signals).tolist() == pytest.approx([1.0, 0.0, 0.0, 0.1])
    assert Lamp()(*_vector([0.0, 0.0])).tolist() == [0.0, 0.0]


def test_of_equal_units_the_first_counts_as_the_larger():
    # 4/4, 4/8, 4/12.
    assert Lamp()(*_vector([2.0, -2.0, 2.0])).tolist() == pytest.approx([1.0, 0.5, 1 / 3])
    # So many that a sort which does not care for the order of equals would show it.
    many = Lamp()(*_vector([1.0] * 10_000))
    torch.testing.assert_close(many, 1 / torch.arange(1, 10_001).double())


def test_units_of_several_weights_compare_by_their_norms():
    model = nn.Linear(6, 4, bias=False)
    found = score(Lamp(), model, blocks(model, (2, 3)))["weight"]
    tiles = model.weight.detach().double().numpy().reshape(2, 2, 2, 3).transpose(0, 2, 1, 3).reshape(4, 6)
    np.testing.assert_allclose(found.numpy(), _by_definition(np.sqrt((tiles**2).sum(1))), rtol=1e-6)


def test_a_criterion_with_sign_is_refused():
    signals = Signals({"weight": {"w": torch.ones(2)}, "grad": {"w": torch.tensor([1.0, -1.0])}})
    group = Group("w", 2, (Slice("w", (2,)),))
    with pytest.raises(SignalError, match="Lamp needs magnitudes, and Movement gave group 'w' negative scores"):
        Lamp(Movement())(group, signals)
