"""A probe says at once, and without a look at model or data, what it could not measure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.core import SignalError
from niwaki.criteria import BrainDamage, Fisher, GroupFisher, SecondTaylor, Taylor
from niwaki.signals import collect, probe
from niwaki.structure.declare import weights

MODEL = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
BATCHES = [(torch.randn(5, 3), torch.randint(0, 2, (5,)))]
GROUPS = weights(MODEL)


class Unread:
    """Batches that nobody may look at."""

    def __iter__(self) -> Iterator[Any]:
        yield from self.refuse()

    def refuse(self) -> list[Any]:
        raise AssertionError("these batches were read")


def drawn() -> torch.Generator:
    return torch.Generator().manual_seed(3)


LACKING: dict[str, tuple[frozenset[str], dict[str, Any], str]] = {
    "groups": (GroupFisher.needs, {}, "'gate_grad_sq' is measured per unit .* pass tensors=groups"),
    "names": (GroupFisher.needs, {"tensors": ["0.weight"]}, "'gate_grad_sq' is measured per unit"),
    "signs": (BrainDamage("hessian_diag").needs, {}, "'hessian_diag' is random; pass generator="),
    "both": (SecondTaylor("gate_hessian_diag").needs, {"tensors": GROUPS}, "'gate_hessian_diag' is random"),
    "loss": (Fisher.needs, {"loss": None}, "'grad_sq' is a derivative of the loss; pass loss="),
    "two": (Fisher.needs, {"step": lambda model, batch: batch}, "give loss=, .* or step=, .* but not both"),
    "name": (frozenset({"gard"}), {}, "nobody knows how to collect 'gard'"),
}


@pytest.mark.parametrize("lacking", LACKING)
def test_what_a_measurement_would_lack_is_said_before_it(lacking):
    needs, given, words = LACKING[lacking]
    with pytest.raises(SignalError, match=words) as at_once:
        probe(Unread(), **{"loss": F.cross_entropy, **given}).check_needs(needs)
    with pytest.raises(SignalError) as when_measured:
        probe(BATCHES, **{"loss": F.cross_entropy, **given})(MODEL, needs)
    assert str(at_once.value) == str(when_measured.value)


@pytest.mark.parametrize("criterion", [Taylor(), Fisher(), GroupFisher(), BrainDamage("hessian_diag"), SecondTaylor()])
def test_what_lacks_nothing_passes_and_nothing_is_read_or_drawn(criterion):
    generator = drawn()
    ready = probe(Unread(), F.cross_entropy, tensors=GROUPS, generator=generator)
    assert ready.check_needs(criterion.needs) is None
    assert torch.equal(generator.get_state(), drawn().get_state())
    measured = probe(BATCHES, F.cross_entropy, tensors=GROUPS, generator=generator)(MODEL, criterion.needs)
    assert set(measured.values) == set(criterion.needs)


def test_a_probe_shows_what_it_draws_from():
    generator = drawn()
    assert probe(BATCHES, F.cross_entropy, generator=generator).generator is generator
    assert probe(BATCHES, F.cross_entropy).generator is None


@pytest.mark.parametrize("kind", ["hessian_diag", "gate_hessian_diag"])
def test_draws_that_are_too_few_are_named_by_the_signal_that_was_asked_for(kind):
    with pytest.raises(SignalError, match=f"the signal '{kind}' needs at least one draw of signs, not 0"):
        collect(MODEL, BATCHES, F.cross_entropy, needs={kind}, tensors=GROUPS, generator=drawn(), draws=0)
    # What takes no signs does not mind.
    assert collect(MODEL, BATCHES, F.cross_entropy, needs={"grad"}, draws=0).of("grad", "0.weight").shape == (4, 3)
