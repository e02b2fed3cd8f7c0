"""Frameworks that own the loop and the checkpoints go on exactly, though they know nothing of sparsifiers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from niwaki.methods import iee
from niwaki.structure.declare import weights
from niwaki.train import Sparsifier

from .loops import batch, mlp

STEPS = 40


def build() -> tuple[torch.nn.Module, torch.optim.Optimizer, Sparsifier]:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    sparsifier = iee(model, weights(model), density=0.3, steps=STEPS, H=5, J=4, Q=4)
    return model, optimizer, sparsifier.attach(optimizer)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("stop", [3, 7, 12, 20])
def test_accelerate_goes_on(tmp_path, stop):
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")

    def run(prepared, accelerator, steps, save=False):
        model, optimizer = prepared
        for step in steps:
            if save and step == stop:
                accelerator.save_state(str(tmp_path))
            x, y = batch(step, (12,))
            optimizer.zero_grad()
            accelerator.backward(torch.nn.functional.cross_entropy(model(x), y))
            optimizer.step()

    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer, sparsifier = build()
    run(accelerator.prepare(model, optimizer), accelerator, range(STEPS), save=True)
    accelerator.free_memory()

    accelerator = accelerate.Accelerator(cpu=True)
    again, its_optimizer, its_sparsifier = build()
    prepared = accelerator.prepare(again, its_optimizer)
    accelerator.load_state(str(tmp_path))
    assert its_sparsifier.step == stop
    run(prepared, accelerator, range(stop, STEPS))
    accelerator.free_memory()
    assert same(model, again) and its_sparsifier.density == sparsifier.density


class Judged(torch.nn.Module):
    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x, labels):
        found = self.net(x)
        return {"loss": torch.nn.functional.cross_entropy(found, labels), "logits": found}


@pytest.mark.parametrize("stop", [8, 16, 32])
def test_the_trainer_of_transformers_goes_on(tmp_path: Path, stop):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    xs, ys = batch(0, (12,), size=64)
    data = [{"x": x, "labels": y} for x, y in zip(xs, ys, strict=True)]

    def run(resume=None):
        model, optimizer, sparsifier = build()
        asked = transformers.TrainingArguments(
            str(tmp_path), max_steps=STEPS, per_device_train_batch_size=8, save_steps=8, report_to=[],
            disable_tqdm=True, use_cpu=True, logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(Judged(model), asked, train_dataset=data, optimizers=(optimizer, None))
        trainer.train(resume_from_checkpoint=resume)
        return model, sparsifier

    model, sparsifier = run()
    again, its_sparsifier = run(str(tmp_path / f"checkpoint-{stop}"))
    assert same(model, again) and its_sparsifier.step == STEPS
    assert its_sparsifier.history == sparsifier.history
