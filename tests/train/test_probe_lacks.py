"""A probe that lacks what a criterion takes is refused with the plan, not at its first measurement hours later."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import niwaki as nw
from niwaki.core import SignalError

from .loops import batch, mlp

LACKING: dict[str, tuple[Any, dict[str, Any], str]] = {
    "groups": (nw.GroupFisher(), {}, "'gate_grad_sq' is measured per unit .* pass tensors=groups"),
    "generator": (nw.BrainDamage("hessian_diag"), {}, "'hessian_diag' is random; pass generator="),
    "loss": (nw.Fisher(), {"loss": None}, "'grad_sq' is a derivative of the loss; pass loss="),
}


@pytest.mark.parametrize("method", [nw.iee, nw.gmp, nw.acdc])
@pytest.mark.parametrize("lacking", LACKING)
def test_what_a_probe_lacks_is_said_when_the_method_is_made(method, lacking):
    criterion, given, words = LACKING[lacking]
    model = mlp()
    probe = nw.probe([batch(0, (12,))], **{"loss": F.cross_entropy, **given})
    with pytest.raises(SignalError, match=words):
        method(model, nw.weights(model), density=0.3, steps=400, criterion=criterion, probe=probe)


def test_what_the_sparsifier_draws_itself_a_probe_need_not():
    class Doubtful:
        needs = frozenset({"noise", "weight", "grad_sq"})

        def __call__(self, group: nw.Group, signals: nw.Signals) -> torch.Tensor:
            return nw.Random()(group, signals) * nw.Fisher()(group, signals)

    model = mlp()
    probe = nw.probe([batch(0, (12,))], F.cross_entropy)
    assert nw.iee(model, nw.weights(model), density=0.3, steps=400, criterion=Doubtful(), probe=probe).step == 0


def test_a_function_of_the_user_s_own_is_a_probe():
    def probe(model: nn.Module, needs: frozenset[str]) -> nw.Signals:
        return nw.collect(model, [batch(0, (12,))], F.cross_entropy, needs=needs)

    model = mlp()
    assert nw.iee(model, nw.weights(model), density=0.3, steps=400, criterion=nw.Fisher(), probe=probe).step == 0
