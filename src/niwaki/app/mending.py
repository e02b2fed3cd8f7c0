"""What is done for a model after a cut: norms measured anew, fine-tuning, and what it is worth after each step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..core.errors import TrainError
from ..train import Sparsifier, reestimate_norms
from .batches import Batches
from .data import Data
from .evaluation import evaluate, loss_of
from .progress import Shown
from .request import Request


def quality(model: nn.Module, data: Data | None) -> dict[str, Any]:
    """Accuracy and loss on the test part; nothing without data.

    Args:
        model: the model.
        data: the data.

    Returns:
        Both, by name.
    """
    if data is None:
        return {"accuracy": None, "loss": None}
    accuracy, loss = evaluate(model, data, data.test)
    return {"accuracy": accuracy, "loss": loss}


def _finetune(
    request: Request, model: nn.Module, batches: Batches, holding: Sparsifier | None, progress: Shown
) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=request.lr, momentum=0.9, weight_decay=5e-4)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, request.finetune)
    if holding is not None:
        holding.attach(optimizer)
    model.train()
    progress.begin("fine-tuning", request.finetune, 0)
    for step in range(request.finetune):
        x, y = batches.at(step)
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        falling.step()
        progress.step(step + 1, {"loss": f"{float(loss.detach()):.3f}"})
    if not bool(torch.isfinite(loss)):
        raise TrainError(f"fine-tuning ended at a loss that is not finite; take a lower rate than --lr {request.lr}")
    if holding is not None:
        holding.detach()
    model.eval()


def mended(
    request: Request,
    small: nn.Module,
    data: Data | None,
    batches: Batches | None,
    holding: Sparsifier | None,
    progress: Shown,
) -> dict[str, Any]:
    """Re-estimate norms and fine-tune, as far as asked.

    Args:
        request: says how much.
        small: the model after the cut; changed in place.
        data: the data; without them nothing is done.
        batches: of their training part.
        holding: keeps zeros at zero while it is fine-tuned, where units have zeros in their places.
        progress: shows where it stands.

    Returns:
        What the model was worth after each step.
    """
    steps = {"cut": quality(small, data)}
    if data is None or batches is None:
        return steps
    if request.reestimate and reestimate_norms(small, [batches.at(step) for step in range(request.reestimate)]):
        steps["norms"] = quality(small, data)
    if request.finetune:
        _finetune(request, small, batches, holding, progress)
        steps["finetuned"] = quality(small, data)
    return steps
