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
from .body import Body
from .listen import AT_HAND, is_windowed
from .surgery import gradient_scale

if TYPE_CHECKING:
    from .sparsifier import Sparsifier


def loop_signals(body: Body, optimizer: Optimizer) -> Signals:
    """Weights and gradients of the step under way; a tensor without gradient had none to speak of."""
    scale = gradient_scale(optimizer)
    gradients = {
        name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad if scale == 1 else tensor.grad / scale
        for name, tensor in body.tensors.items()
    }
    whole = {name: body.whole(name, gradient) for name, gradient in gradients.items()}
    return Signals({"weight": body.last_values(), "grad": whole})


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
        kinds: dict[str, Mapping[str, Tensor]] = {"weight": one._body.last_values()}
        if "noise" in needs:  # drawn on the CPU, so that every device sees the same numbers
            kinds["noise"] = {
                name: torch.rand(tensor.shape, generator=one._generator).to(tensor.device)
                for name, tensor in one._body.tensors.items()
            }
        signals = Signals(kinds)
        if one.probe is not None and not needs <= AT_HAND:
            with one.pruned():
                signals = signals.merged(one.probe(one.model, needs - {"weight", "noise"}))
        return signals
