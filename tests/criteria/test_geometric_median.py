"""Distances between filters."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from niwaki.core import Signals
from niwaki.criteria import (
    GeometricMedian,
    Magnitude,
)
from niwaki.criteria import geometric_median as geometric_median_file
from niwaki.signals import score
from tests.criteria.channels import channel_group, conv_net, numbers_of


def test_distances_against_scipy():
    model, groups, _ = conv_net()
    found = score(GeometricMedian(), model, groups)
    for layer in ("one", "two"):
        filters = model.get_submodule(layer).weight.detach().flatten(1).double().numpy()
        np.testing.assert_allclose(found[layer].numpy(), cdist(filters, filters).sum(1), rtol=1e-5)
    whole = score(GeometricMedian(roles=None), model, groups[:1])["one"]
    values = {name: p.detach().double().numpy() for name, p in model.named_parameters()}
    rows = np.stack([numbers_of(groups[0], unit, values) for unit in range(5)])
    np.testing.assert_allclose(whole.numpy(), cdist(rows, rows).sum(1), rtol=1e-5)


def test_distances_by_parts_are_the_same(monkeypatch):
    model, groups, _ = conv_net()
    expected = score(GeometricMedian(), model, groups)
    monkeypatch.setattr(geometric_median_file, "_DISTANCES_AT_ONCE", 11)  # two rows of five at a time
    found = score(GeometricMedian(), model, groups)
    for group in groups:
        torch.testing.assert_close(found[group.name], expected[group.name])


def test_of_two_equal_filters_one_goes_first():
    # Filters (1, 0) twice and (0, 1), (-1, 0), (0, -1): sums 2 r2 + 2, 2 r2 + 2, 3 r2 + 2, 6, 3 r2 + 2 for r2 = root 2.
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
    group = channel_group("c", 5, ("w", (5, 2), 0, 1, "out"))
    found = GeometricMedian()(group, Signals({"weight": {"w": rows}}))
    r2 = 2**0.5
    assert found.tolist() == pytest.approx([2 * r2 + 2, 3 * r2 + 2, 2 * r2 + 4, 2 * r2 + 2, 3 * r2 + 2])
    assert found.argmin().item() in (0, 3)
    # The norms, all equal, could not have told.
    assert len(Magnitude()(group, Signals({"weight": {"w": rows}})).unique()) == 1


def test_nearly_equal_filters_keep_their_distance():
    # Enough of them that torch would take the detour over products, where the small differences drown.
    rows = torch.full((40, 50), 1e3)
    rows[7, 0] += 0.5
    group = channel_group("c", 40, ("w", (40, 50), 0, 1, "out"))
    found = GeometricMedian()(group, Signals({"weight": {"w": rows}}))
    assert found.tolist() == [39 * 0.5 if unit == 7 else 0.5 for unit in range(40)]
