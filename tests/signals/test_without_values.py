"""A model on the meta device has shapes and no values: nothing can be measured, and that is said."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.core import SignalError
from niwaki.criteria import Fisher, GroupFisher, Magnitude, Random, SynFlow, Taylor, Wanda
from niwaki.methods.start import first_keep
from niwaki.signals import collect, probe, score
from niwaki.structure.declare import weights

BATCHES = [(torch.randn(5, 3), torch.randint(0, 2, (5,)))]
WORDS = r"'0\.weight' is on the meta device, where tensors have no values; .*to_empty\(.*\) and model\.load_state_dict"


def hollow() -> nn.Sequential:
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    "criterion", [Magnitude(), Random(), Taylor(), Fisher(), GroupFisher(), SynFlow(), Wanda()], ids=lambda c: repr(c)
)
def test_scores_of_a_model_without_values(criterion):
    model = hollow()
    with pytest.raises(SignalError, match=WORDS):
        score(criterion, model, weights(model), BATCHES, F.cross_entropy, generator=torch.Generator())


@pytest.mark.parametrize("kind", ["weight", "grad", "grad_sq", "flow", "input_norm"])
def test_signals_of_a_model_without_values(kind):
    with pytest.raises(SignalError, match=WORDS):
        collect(hollow(), BATCHES, F.cross_entropy, needs={kind})
    with pytest.raises(SignalError, match=WORDS):
        probe(BATCHES, F.cross_entropy)(hollow(), frozenset({kind}))


def test_only_what_is_measured_must_have_values():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[1].to("meta")
    found = collect(model, needs={"weight"}, tensors=["0.weight"])
    assert torch.equal(found.of("weight", "0.weight"), model[0].weight)
    with pytest.raises(SignalError, match=r"'1\.weight' is on the meta device"):
        collect(model, needs={"weight"})


def test_a_method_has_no_first_structure_of_a_model_without_values():
    model = hollow()
    with pytest.raises(SignalError, match=WORDS):
        first_keep(model, weights(model), density=0.5)
