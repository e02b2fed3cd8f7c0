"""The scores of one event: heard over a window, or measured when the moves ask."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim import Optimizer

from ..core.contracts import Criterion
from ..core.group import Group
from ..core.signals import Signals
from ..moves.timeline import Event
from ..signals.score import checked_score
from .listen import AT_HAND, is_windowed
from .surgery import gradient_scale

if TYPE_CHECKING:
    from .sparsifier import Sparsifier


def _noise(sparsifier: Sparsifier) -> dict[str, Tensor]:
    # Drawn on the CPU, so that every device sees the same numbers.
    body = sparsifier._body
    return {
        name: torch.rand(body.acts[name].shape, generator=sparsifier._generator).to(tensor.device)
        for name, tensor in body.tensors.items()
    }


def _weights(sparsifier: Sparsifier, event: Event) -> dict[str, Tensor]:
    # What leaves is chosen among what is there: a layer's sums and norms must not count what is gone.
    ghosts = not all(getattr(move, "only_removes", False) for move in event.moves if move.criteria)
    return sparsifier._body.seen(ghosts=ghosts)


def loop_signals(sparsifier: Sparsifier, optimizer: Optimizer, event: Event) -> Signals:
    """Weights and gradients of the step under way; a tensor without gradient had none to speak of.

    Args:
        sparsifier: attached.
        optimizer: about to update.
        event: whose window is open.

    Returns:
        What its criteria may read of a training loop.
    """
    body, scale = sparsifier._body, gradient_scale(optimizer)
    gradients = {
        name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad if scale == 1 else tensor.grad / scale
        for name, tensor in body.tensors.items()
    }
    whole = {name: body.whole(name, gradient) for name, gradient in gradients.items()}
    found = {"weight": _weights(sparsifier, event), "grad": whole}
    if any("noise" in criterion.needs for criterion in event.criteria if is_windowed(criterion)):
        found["noise"] = _noise(sparsifier)
    return Signals(found)


class Scores:
    """Gives the moves of one event their scores; everything that has to be measured is measured once.

    Args:
        sparsifier: whose weights, window, generator and probe are read.
        event: the event.
    """

    def __init__(self, sparsifier: Sparsifier, event: Event) -> None:
        self._sparsifier = sparsifier
        self._event = event

    def __call__(self, criterion: Criterion, group: Group) -> Tensor:
        """Scores ``[size]``."""
        if is_windowed(criterion):
            return self._sparsifier._listener.mean(self._event.criteria, criterion, group)
        return checked_score(criterion, group, self._measured)

    @cached_property
    def _measured(self) -> Signals:
        one = self._sparsifier
        needs = frozenset().union(*(c.needs for c in self._event.criteria if not is_windowed(c)))
        kinds: dict[str, Mapping[str, Tensor]] = {"weight": _weights(one, self._event)}
        if "noise" in needs:
            kinds["noise"] = _noise(one)
        signals = Signals(kinds)
        if one.probe is not None and not needs <= AT_HAND:
            signals = signals.merged(one.probe(one.model, needs - {"weight", "noise"}))
        return signals
