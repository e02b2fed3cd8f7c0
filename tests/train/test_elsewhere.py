"""A model on another device: the whole run stays there, refuses nothing of its own, and is the run of the CPU.

The devices are pretended, so that it is the same to the last bit; one of them has no float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from niwaki.allocate import Macs
from niwaki.core import Group, Groups
from niwaki.criteria import Fisher, GroupFisher, Lamp, Movement, Random, Snip, SynFlow, Taylor, Wanda
from niwaki.measure import counted
from niwaki.methods import acdc, dense, gmp, halp, iee, rigl, smcp, sparse_evolution, static
from niwaki.signals import probe
from niwaki.store import load_training, save_training
from niwaki.structure import blocks, channels, n_of_m, weights
from niwaki.train import Sparsifier
from tests.elsewhere import Pretended, pretended

from .channel_nets import Residual
from .loops import OPTIMIZERS, batch

pytestmark = pytest.mark.usefixtures("plain_looking")

STEPS, SHAPE = 48, (3, 8, 8)
SHORT = {"density": 0.25, "steps": STEPS}
CYCLE = {**SHORT, "H": 8, "J": 4, "Q": 4}
CPU = torch.device("cpu")


def residual() -> nn.Module:
    torch.manual_seed(0)
    return Residual()


UNITS: Groups = channels(residual(), torch.zeros(2, *SHAPE))
HALF = Macs(0.5, counted(residual(), torch.zeros(2, *SHAPE)).macs)

METHODS: Mapping[str, Callable[[nn.Module, Any], Sparsifier]] = {
    "dense": lambda m, p: dense(m, weights(m), steps=STEPS),
    "static_snip": lambda m, p: static(m, weights(m), init=Snip(), probe=p, **SHORT),
    "static_synflow": lambda m, p: static(m, weights(m), init=SynFlow(), probe=p, **SHORT),
    "set": lambda m, p: sparse_evolution(m, weights(m), every=8, **SHORT),
    "rigl": lambda m, p: rigl(m, weights(m), every=8, **SHORT),
    "gmp": lambda m, p: gmp(m, weights(m), every=8, criterion=Lamp(), **SHORT),
    "acdc": lambda m, p: acdc(m, weights(m), compress=(0.1, 0.5), decompress=(0.3,), **SHORT),
    "iee": lambda m, p: iee(m, weights(m), explore_init="mru_random", grow_init="explored", **CYCLE),
    "iee_carry": lambda m, p: iee(m, weights(m), carry=True, freeze=False, **CYCLE),
    "iee_taylor": lambda m, p: iee(m, weights(m), criterion=Taylor(), scope="global", **CYCLE),
    "iee_movement": lambda m, p: iee(m, weights(m), criterion=Movement(), **CYCLE),
    "iee_fisher": lambda m, p: iee(m, weights(m), criterion=Fisher(), probe=p, **CYCLE),
    "iee_wanda": lambda m, p: iee(m, weights(m), criterion=Wanda(), probe=p, **CYCLE),
    "iee_random": lambda m, p: iee(m, weights(m), criterion=Random(), **CYCLE),
    "iee_blocks": lambda m, p: iee(m, blocks(m, (2, 2)), **CYCLE),
    "iee_2_of_4": lambda m, p: iee(m, n_of_m(m, 2, 4, ignore=["stem"]), **{**CYCLE, "density": 0.5}),
    "iee_channels": lambda m, p: iee(m, UNITS, criterion=GroupFisher(), probe=p, **{**CYCLE, "density": 0.5}),
    "iee_budget": lambda m, p: iee(m, UNITS, budget=HALF, steps=STEPS, H=8, J=4, Q=4),
    "halp": lambda m, p: halp(m, UNITS, budget=HALF, steps=STEPS, every=8, events=4),
    "halp_materialised": lambda m, p: halp(m, UNITS, budget=HALF, steps=STEPS, every=8, events=4, materialise=True),
    "smcp": lambda m, p: smcp(m, UNITS, budget=HALF, steps=STEPS, every=8),
}


class Run:
    """A model, its optimizer and its sparsifier on a device."""

    def __init__(self, name: str, place: torch.device, optimizer: str = "sgd") -> None:
        self.place, self.model = place, residual().to(place)
        few = [self.batch(step) for step in range(2)]
        tensors: list[Group] | None = list(UNITS) if name == "iee_channels" else None
        measure = probe(few, F.cross_entropy, tensors=tensors)
        self.optimizer = OPTIMIZERS[optimizer](self.model.parameters())
        self.sparsifier = METHODS[name](self.model, measure).attach(self.optimizer)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = batch(step, SHAPE)
        return x.to(self.place), y.to(self.place)

    def go(self, first: int = 0, last: int = STEPS) -> Run:
        for step in range(first, last):
            x, y = self.batch(step)
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
        return self

    def tensors(self) -> dict[str, torch.Tensor]:
        with self.sparsifier.whole():
            found = {f"model {name}": tensor.clone() for name, tensor in self.model.state_dict().items()}
            for index, state in self.optimizer.state_dict()["state"].items():
                found |= {f"{k} of {index}": torch.as_tensor(v).clone() for k, v in state.items() if v is not None}
        found |= {f"mask {name}": mask for name, mask in self.sparsifier.masks().items()}
        return found | {f"keep {name}": keep for name, keep in self.sparsifier.keep.items()}


@cache
def run_here(name: str) -> Run:
    return Run(name, CPU).go()


def assert_same(far: Run, near: Run) -> None:
    found, wanted = far.tensors(), near.tensors()
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor.cpu(), wanted[name].cpu()), name
        assert tensor.device == far.place or name.startswith("step of"), name  # torch keeps Adam's steps on the CPU
    assert far.sparsifier.history == near.sparsifier.history
    assert far.sparsifier.ledger.flops == near.sparsifier.ledger.flops


@pretended
@pytest.mark.parametrize("name", METHODS)
def test_a_run_elsewhere_is_the_run_here(name, place):
    near = run_here(name)
    with Pretended():
        far = Run(name, place).go()
        assert far.sparsifier.extra_bytes == near.sparsifier.extra_bytes
        assert_same(far, near)


@pretended
@pytest.mark.parametrize("name", ["iee", "iee_channels", "halp_materialised", "smcp"])
def test_a_run_elsewhere_goes_on_from_a_file(name, place, tmp_path):
    with Pretended():
        whole = Run(name, place, "adamw").go(0, 21)
        with whole.sparsifier.whole():
            save_training(tmp_path, model=whole.model, optimizer=whole.optimizer, sparsifier=whole.sparsifier)
        whole.go(21)
        again = Run(name, place, "adamw")
        with again.sparsifier.whole():
            load_training(tmp_path, model=again.model, optimizer=again.optimizer, sparsifier=again.sparsifier)
        assert_same(again.go(21), whole)


@pretended
def test_a_run_from_elsewhere_goes_on_here(place, tmp_path):
    with Pretended():
        far = Run("iee", place).go(0, 21)
        save_training(tmp_path, model=far.model, optimizer=far.optimizer, sparsifier=far.sparsifier)
    moved = Run("iee", CPU)
    load_training(tmp_path, model=moved.model, optimizer=moved.optimizer, sparsifier=moved.sparsifier)
    assert_same(moved.go(21), run_here("iee"))


@pytest.mark.accelerator
@pytest.mark.parametrize("name", METHODS)
def test_a_run_on_the_accelerator_stays_there(name):
    far = Run(name, torch.device("cuda", 0)).go()
    assert all(tensor.is_cuda for name, tensor in far.tensors().items() if not name.startswith("step of"))
    near = Run(name, CPU).go()
    assert far.sparsifier.density == near.sparsifier.density
    assert [move["move"] for move in far.sparsifier.history] == [move["move"] for move in near.sparsifier.history]
    assert far.sparsifier.ledger.flops == pytest.approx(near.sparsifier.ledger.flops, rel=0.1)
