"""A probe: data and loss, ready to measure whatever a criterion asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..core.contracts import Probe
from ..core.errors import SignalError
from ..core.group import Group
from ..core.signals import Signals
from .batches import Batch, check_batches
from .collect import check_needs, collect
from .pure import Loss, Step, check_functions
from .unit_gates import check_whole_groups


@dataclass(frozen=True, eq=False)
class _DataProbe:
    batches: Iterable[Batch]
    loss: Loss | None
    step: Step | None
    tensors: Sequence[Group] | Collection[str] | None
    generator: torch.Generator | None
    reduce: bool

    def __call__(self, model: nn.Module, needs: frozenset[str]) -> Signals:
        return collect(
            model, self.batches, self.loss,
            needs=needs, tensors=self.tensors, step=self.step, generator=self.generator, reduce=self.reduce,
        )  # fmt: skip

    def check_needs(self, needs: frozenset[str]) -> None:
        """Say, as a `SignalError`, what a measurement of these kinds would lack; looks at neither model nor data."""
        check_needs(needs, self.batches, self.loss, self.step, self.generator)
        check_whole_groups(self.tensors, needs)


def probe(
    batches: Iterable[Batch],
    loss: Loss | None = None,
    *,
    tensors: Sequence[Group] | Collection[str] | None = None,
    step: Step | None = None,
    generator: torch.Generator | None = None,
    reduce: bool = True,
) -> Probe:
    """What a method calls when a criterion wants more than the weights and gradients of the training loop.

    Args:
        batches: as for `collect`; they are read anew each time the probe is asked.
        loss: as for `collect`.
        tensors: groups or tensor names to measure; every parameter without them.
        step: as for `collect`.
        generator: as for `collect`.
        reduce: as for `collect`.

    Returns:
        A function of a model and the needed kinds of signal. It shows the ``generator``, and its ``check_needs(needs)``
        says what a measurement would lack, without measuring.

    Raises:
        SignalError: there are no batches, or they are an iterator, which can be read only once.

    >>> model = nn.Linear(2, 1, bias=False)
    >>> measure = probe([(torch.ones(3, 2), torch.zeros(3, 1))], nn.functional.mse_loss)
    >>> measure(model, frozenset({"grad_sq"})).of("grad_sq", "weight").shape
    torch.Size([1, 2])
    """
    check_batches(batches)
    check_functions(loss, step)
    if batches is None or iter(batches) is batches:
        given = "None" if batches is None else "an iterator"
        raise SignalError(f"a probe reads its batches again and again; give a list or a DataLoader, not {given}")
    return _DataProbe(batches, loss, step, tensors, generator, reduce)
