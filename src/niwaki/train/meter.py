"""Counts what training costs, as it happens."""

from __future__ import annotations

import time
import warnings
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ..core.errors import TrainError, said
from ..core.gates import densities
from ..core.names import bare_model
from ..measure.flops import ModelFlops, count_flops
from ..measure.ledger import Ledger, peak_memory, step_flops
from .body import Body

Whole = Callable[[], AbstractContextManager[object]]


def _idle(*_: object) -> None:
    """What a copy of a watched model has for its hook."""


def _warn_of_the_unknown(module: nn.Module, error: TrainError) -> None:
    warnings.warn(
        f"the FLOPs of training {type(module).__name__} stay unknown: it could not be run once more to count them "
        f"({said(error)}); to have them, pass a batch of inputs that it can be run on as example=",
        stacklevel=6,  # past this hook and how torch calls it, to where the model is called
    )


class _Watch:
    """The hook on a model whose FLOPs are not known yet. Copies of the model, pickled ones too, are not watched."""

    def __init__(self, meter: Meter, whole: weakref.WeakMethod[Whole]) -> None:
        self._meter, self._whole = meter, whole
        self.handle = meter._model.register_forward_pre_hook(self, with_kwargs=True)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # A compiled model traces this hook: counting there would break its graph. The cost stays unknown then.
        # The tree that another sparsifier counts on carries this hook too; it is not this meter's to count.
        if module is self._meter._model and module.training and not torch.compiler.is_compiling():
            self.handle.remove()  # first of all: the pass that counts must not come back here
            whole = self._whole() or nullcontext
            try:
                with whole():  # a run that was loaded may be smaller by now
                    self._meter._count(args, kwargs)
            except TrainError as error:
                _warn_of_the_unknown(module, error)

    def __reduce__(self) -> tuple[type[partial[None]], tuple[Callable[..., None]]]:
        return partial, (_idle,)


class Meter:
    """Keeps the ledger of one sparsifier.

    The FLOPs of one batch are counted once, from an example or from the first forward pass; a step then costs that
    times the backward passes it took (gradient accumulation), with every product weighed by the density of its gates.
    Where a forward pass cannot be repeated to count it, a warning says so, and FLOPs are unknown; an example that
    cannot be run is an error.

    Args:
        model: the model.
        first_tensor: the tensor whose gradients are counted as backward passes.
        example: one batch of inputs, or ``None`` to watch the first forward pass.
    """

    def __init__(self, model: nn.Module, first_tensor: str, example: object = None) -> None:
        self.ledger = Ledger()
        self.first_tensor = first_tensor
        self.backward_passes = 0
        self.dense_gradient = False
        self.flops: ModelFlops | None = None
        self._model = bare_model(model)
        self._device = next(model.parameters()).device
        self._since: float | None = None
        self._cache: tuple[tuple[int, bool, bool], float] | None = None
        if example is not None:
            self._count(example if isinstance(example, tuple) else (example,), {})

    def attach(self, whole: weakref.WeakMethod[Whole]) -> list[RemovableHandle]:
        """Start the clock, and watch for the first forward pass if the model's FLOPs are not known yet.

        Args:
            whole: what gives the model its whole shape for a while. Held weakly: a hook on the model calls it.

        Returns:
            The hook, if there is one.
        """
        self._since = time.perf_counter()
        if self.flops is not None:
            return []
        return [_Watch(self, whole).handle]

    def _count(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        self.flops = count_flops(self._model, args, dict(kwargs))
        dense = step_flops(self.flops, {}, {})
        self.ledger = replace(self.ledger, dense_step_flops=dense)

    def tick(self, stage: str, body: Body, *, frozen: bool) -> None:
        """Enter one finished step.

        Args:
            stage: the stage it belonged to.
            body: the masks under which it ran.
            frozen: whether tensors of no group stood still.
        """
        now = time.perf_counter()
        seconds = 0.0 if self._since is None else now - self._since
        flops = self._one_pass(body, frozen=frozen)
        passes = max(1, self.backward_passes)
        spent = None if flops is None else passes * flops
        self.ledger = replace(
            self.ledger.add(stage, steps=1, flops=spent, seconds=seconds), peak_memory=peak_memory(self._device)
        )
        self._since, self.backward_passes, self.dense_gradient = now, 0, False

    def _one_pass(self, body: Body, *, frozen: bool) -> float | None:
        if self.flops is None:
            return None
        key = (body.version, frozen, self.dense_gradient)
        if self._cache is None or self._cache[0] != key:
            acts = densities(body.acts)
            learns = acts if body.learns is body.acts else densities(body.learns)
            cost = step_flops(
                self.flops, acts, learns, default_train=0.0 if frozen else 1.0, dense_gradient=self.dense_gradient
            )
            self._cache = (key, cost)
        return self._cache[1]
