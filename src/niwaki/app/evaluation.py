"""How good a model is on a part of the data."""

from __future__ import annotations

import math
from collections.abc import Generator

import torch
from torch import Tensor, nn

from ..core.errors import TrainError, said
from ..signals.forward import evaluating
from .data import Data, Pairs, ready
from .precision import precise


def _scores(output: object) -> Tensor:
    # Models of transformers return their scores in a field.
    scores = getattr(output, "logits", output)
    assert isinstance(scores, Tensor)
    return scores


def loss_of(output: object, labels: Tensor) -> Tensor:
    """Mean cross-entropy; scores ``[n, classes]`` with labels ``[n]``, or ``[n, time, classes]`` with ``[n, time]``."""
    scores = _scores(output)
    return nn.functional.cross_entropy(scores.flatten(0, -2).float(), labels.flatten())


def laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """Pictures in the asked memory layout."""
    return x.contiguous(memory_format=torch.channels_last) if channels_last and x.dim() == 4 else x


@torch.no_grad()
def answers(
    model: nn.Module, data: Data, part: Pairs, *, precision: str = "fp32", channels_last: bool = False
) -> Generator[tuple[Tensor, Tensor]]:
    """What a model gives for a part of the data, in eval mode, batch by batch.

    Args:
        model: the model; its mode is put back afterwards.
        data: tells how to make the inputs ready.
        part: inputs and labels on the model's device.
        precision: ``fp32`` or ``bf16``.
        channels_last: memory layout of pictures.

    Yields:
        Scores and labels of a batch.
    """
    with evaluating(model):
        for x, y in zip(torch.split(part[0], 500), torch.split(part[1], 500), strict=True):
            with precise(x.device, precision):
                output = model(laid_out(ready(data, x), channels_last))
            yield _scores(output), y


@torch.no_grad()
def evaluate(
    model: nn.Module, data: Data, part: Pairs, *, precision: str = "fp32", channels_last: bool = False
) -> tuple[float, float]:
    """Accuracy and mean loss, in eval mode.

    Args:
        model: the model; its mode is put back afterwards.
        data: tells how to make the inputs ready.
        part: inputs and labels on the model's device.
        precision: ``fp32`` or ``bf16``.
        channels_last: memory layout of pictures.

    Returns:
        The share of right answers, from 0 to 1, and the loss (infinite if it is not a number).
    """
    right, total, loss = 0, 0, 0.0
    for scores, y in answers(model, data, part, precision=precision, channels_last=channels_last):
        right += int((scores.argmax(-1) == y).count_nonzero())
        loss += float(loss_of(scores, y)) * y.numel()
        total += y.numel()
    mean = loss / total
    return right / total, mean if math.isfinite(mean) else math.inf


@torch.no_grad()
def check_fit(model: nn.Module, data: Data, names: tuple[str, str]) -> None:
    """Check, on two samples, that a model takes the data and scores its classes.

    Args:
        model: the model.
        data: the data.
        names: addresses of model and data, for the message.

    Raises:
        TrainError: it does not.
    """
    x, y = data.train[0][:2], data.train[1][:2]
    inputs = ready(data, x)
    remedy = "choose a model and data that fit, or give the model options such as ?widths=784,300,10 or ?classes=100"
    what = f"the model {names[0]} does not take the data {names[1]}, samples of shape {tuple(x.shape[1:])}"
    try:
        with evaluating(model):
            output = model(inputs)
    except Exception as error:  # a model may fail in any way on data it was not made for
        raise TrainError(f"{what} ({said(error)}); {remedy}") from error
    scores = getattr(output, "logits", output)
    expected = (*y.shape, len(data.classes))
    if not isinstance(scores, Tensor) or scores.shape[:-1] != y.shape or scores.shape[-1] < len(data.classes):
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise TrainError(f"{what}: scores of shape {expected} are needed for its classes, it gave {found}; {remedy}")
