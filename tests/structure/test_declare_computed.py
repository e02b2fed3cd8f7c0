"""Layers whose weight is computed from other tensors, or that have no weight yet, are left out with the remedy."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from niwaki.core import GroupError
from niwaki.structure import channels, weights


def layered(change: Callable[[nn.Conv2d], object]) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6 * 16, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the older norms announce their successors
        change(model[2])
    return model.eval()


COMPUTED = {
    "weight norm": (weight_norm, "weight_v", r"under WeightNorm.*utils\.remove_weight_norm"),
    "spectral norm": (spectral_norm, "weight_orig", r"under SpectralNorm.*utils\.remove_spectral_norm"),
    "mask": (
        lambda m: prune.ln_structured(m, "weight", 0.5, 2, 0),
        "weight_orig",
        r"prune\.remove\(module, 'weight'\)",
    ),
    "one-shot mask": (
        lambda m: prune.l1_unstructured(m, "weight", 0.5),
        "weight_orig",
        r"under torch\.nn\.utils\.prune",
    ),
    "parametrized": (parametrizations.weight_norm, "parametrizations.weight.original1", "remove_parametrizations"),
}


@pytest.mark.parametrize("kind", list(COMPUTED))
def test_a_weight_that_is_computed_is_left_out_unless_named(kind):
    change, tensor, reason = COMPUTED[kind]
    model = layered(change)
    groups = weights(model)
    assert [group.name for group in groups] == ["0.weight", "4.weight"]
    why = groups.left_out[f"2.{tensor}"]
    assert re.search(reason, why)
    assert why.endswith("or name it in also=")
    assert f"2.{tensor}" in {group.name for group in weights(model, also=f"2.{tensor}")}


@pytest.mark.parametrize("kind", list(COMPUTED))
def test_channels_leave_it_and_what_depends_on_it_alone(kind):
    change, tensor, _ = COMPUTED[kind]
    groups = channels(layered(change), torch.zeros(2, 3, 8, 8))
    assert not any(where.tensor.startswith("2.") for group in groups for where in group.slices)
    assert f"2.{tensor}" in groups.left_out


def test_a_lazy_layer_asks_for_a_first_batch():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    x = torch.zeros(2, 3, 8, 8)
    for make in (weights, lambda model: channels(model, x)):
        with pytest.raises(
            GroupError, match=r"'0\.weight' has no shape yet \(a lazy layer\); run the model on one batch"
        ):
            make(model)
    model(x)
    assert [group.name for group in weights(model)] == ["0.weight", "3.weight"]
