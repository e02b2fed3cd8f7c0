"""One step under a sparsifier: what it hears before the update, and what follows it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor
from torch.optim import Optimizer

from ..core.gates import as_factor
from . import attaching
from .company import company, hold_still, slow_down
from .listen import is_windowed
from .playing import narrow, play_event
from .scoring import loop_signals
from .surgery import gradient_scale, is_skipped, restore_rates, stateless

if TYPE_CHECKING:
    from .sparsifier import Sparsifier


def gradient_hook(sparsifier: Sparsifier, name: str) -> Callable[[Tensor], Tensor | None]:
    """What runs when the gradient of a tensor is made; it keeps no sparsifier alive whose optimizer is gone."""
    hanging = weakref.ref(sparsifier)

    def hook(gradient: Tensor) -> Tensor | None:
        one = hanging()
        return None if one is None else _masked(one, name, gradient)

    return hook


def _masked(s: Sparsifier, name: str, gradient: Tensor) -> Tensor | None:
    if name == s._meter.first_tensor:
        s._meter.backward_passes += 1
    if _wants_dense_gradient(s) or (name not in s._body.partial and not s.is_exploring):
        return None
    # Masked here and not only at the step: clipping must not count what will not be applied.
    mask = s._body.learning(name)
    attaching.check_place(name, gradient, mask)
    return gradient * as_factor(mask)


def _wants_dense_gradient(s: Sparsifier) -> bool:
    event = s.plan.timeline(s.step + 1)
    return event is not None and event.instead and any("grad" in c.needs for c in event.criteria)


def unscale(sparsifier: Sparsifier) -> None:
    """Put back learning rates that are still scaled: those of a step just done, or of one that raised in its middle."""
    if sparsifier._rates and sparsifier._optimizer is not None:
        restore_rates(sparsifier._optimizer, sparsifier._rates)
    sparsifier._rates = []


def prepare(sparsifier: Sparsifier, optimizer: Optimizer) -> None:
    """Between the gradients and the update.

    Args:
        sparsifier: attached to it.
        optimizer: about to update.
    """
    s = sparsifier
    unscale(s)
    s._replaces, s._skipping = False, is_skipped(optimizer)
    if s._skipping:
        s._stateless = stateless(optimizer)
    else:
        _hear(s, optimizer)
    is_last = company(optimizer)[-1] is s
    if is_last:
        hold_still(optimizer)
    if s._skipping:
        return
    if s._body.hidden:
        s._body.show(s.plan.straight_through_decay * gradient_scale(optimizer))
    if is_last:
        s._rates = slow_down(optimizer)


def _hear(s: Sparsifier, optimizer: Optimizer) -> None:
    s._body.check_loaded()
    attaching.check_gradients(s, optimizer)
    event = s.plan.timeline.upcoming(s.step)
    if event is None or event.step - event.window > s.step:
        return
    if any(is_windowed(criterion) for criterion in event.criteria):
        s._listener.hear(event.criteria, s.groups, loop_signals(s, optimizer, event))
    if event.instead and event.step == s.step + 1:
        s._meter.dense_gradient = _wants_dense_gradient(s)
        play_event(s, event)
        s._replaces = True


def finish(sparsifier: Sparsifier, optimizer: Optimizer) -> None:
    """After the update.

    Args:
        sparsifier: attached to it.
        optimizer: has updated, or passed over.
    """
    s = sparsifier
    if s._skipping:
        # A fused SGD makes momentum even in an update it passes over, and leaves it uninitialised.
        for parameter in s._stateless:
            optimizer.state.pop(parameter, None)
        s._meter.backward_passes = 0
        return
    unscale(s)
    s._body.enforce(frozen=s._is_frozen)
    s._norms.hold()
    s._meter.tick(s.stage, s._body, frozen=s._is_frozen)
    s.step += 1
    event = s.plan.timeline(s.step)
    if event is not None and not event.instead:
        play_event(s, event)
    narrow(s)
