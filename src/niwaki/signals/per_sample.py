"""Squared gradients of single samples: the diagonal of the empirical Fisher matrix."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import SignalError, said
from ..core.widest import wide
from .batches import Batch, has_samples, map_tensors, on_device, samples_in, take, tensors_in
from .gradients import check_count
from .processes import summed
from .pure import LossOf, check_depends, empty_sums, gradients_of

_ELEMENTS_AT_ONCE = 2**26
"""So many gradient elements are held at a time (256 MiB in float32): the rest of a batch waits."""

_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


@contextmanager
def _running_statistics(model: nn.Module) -> Generator[None, None, None]:
    """Batch norms on running statistics: those of a batch are shared, and no sample has a gradient of its own.

    Args:
        model: the model.

    Raises:
        SignalError: a batch norm that has none.
    """
    norms = [(name, module) for name, module in model.named_modules() if isinstance(module, _BATCH_NORMS)]
    for name, norm in norms:
        if norm.running_mean is None:
            raise SignalError(
                f"{name.removeprefix('model.')!r} normalises over the batch and keeps no running statistics, so a "
                "single sample has no gradient of its own; use track_running_stats=True, or a criterion without grad_sq"
            )
    training = [norm for _, norm in norms if norm.training]
    for norm in training:
        norm.training = False
    try:
        yield
    finally:
        for norm in training:
            norm.training = True


def _together(pure: LossOf, leaves: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """The sum of squares of the samples' gradients, as many samples at once as memory allows."""
    count = samples_in(batch)
    along = [tensor for tensor in tensors_in(batch) if has_samples(tensor, count)]

    def loss(values: dict[str, Tensor], *sample: Tensor) -> Tensor:
        feed = iter(sample)
        alone = map_tensors(batch, lambda t: next(feed).unsqueeze(0) if has_samples(t, count) else t)
        return pure(values, alone)

    plain = {name: leaf.detach() for name, leaf in leaves.items()}
    at_once = max(1, _ELEMENTS_AT_ONCE // pure.elements)
    each: Any = torch.func.vmap(torch.func.grad(loss), in_dims=(None, *[0] * len(along)), randomness="different")
    sums = empty_sums(leaves)
    with warnings.catch_warnings():
        # Operators that vmap runs sample by sample inside are slow, not wrong.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        for start in range(0, count, at_once):
            found: dict[str, Tensor] = each(plain, *(tensor[start : start + at_once] for tensor in along))
            for name, gradients in found.items():
                sums[name].add_(wide(gradients).square().sum(0))
    return sums


def _one_by_one(pure: LossOf, leaves: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """The same, sample by sample, for models that cannot be vectorised."""
    sums = empty_sums(leaves)
    for sample in range(samples_in(batch)):
        value = pure(leaves, take(batch, sample, sample + 1))
        for name, gradient in gradients_of(value, leaves).items():
            sums[name].add_(wide(gradient).square())
    return sums


def _warn_of_slowness(error: RuntimeError) -> None:
    warnings.warn(
        "the gradients of samples are taken one by one, which is several times as slow: torch.func.vmap cannot take "
        f"them together ({said(error)}); look for code that decides by values, such as .item(), or writes in place",
        UserWarning,
        stacklevel=5,
    )


def squared_gradients(pure: LossOf, batches: Iterable[Batch], *, shared: bool) -> dict[str, Tensor]:
    """The mean over samples of squared per-sample gradients, ``mean over n of g_n^2``.

    This is not the square of the mean gradient, which can be zero where this is large. Samples are vectorised with
    `torch.func.vmap`; where the model does not allow it (control flow that depends on data, changes in place), they are
    taken one by one, which gives the same numbers more slowly, and a warning says so and why. Batch norms use their
    running statistics meanwhile.

    Args:
        pure: the loss; called on batches of one sample.
        batches: the batches.
        shared: whether to average over processes.

    Returns:
        Means by tensor name.
    """
    leaves = pure.leaves()
    total, samples = empty_sums(leaves), 0
    measure = _together
    with _running_statistics(pure.stepper):
        for batch in (on_device(batch, pure.device) for batch in batches):
            if not samples:
                check_depends(pure(leaves, take(batch, 0, 1)))
            try:
                sums = measure(pure, leaves, batch)
            except RuntimeError as error:
                # What is wrong with the model itself goes wrong again here, and is raised from here.
                measure = _one_by_one
                sums = measure(pure, leaves, batch)
                _warn_of_slowness(error)
            for name, value in sums.items():
                total[name].add_(value)
            samples += samples_in(batch)
    means, samples = summed(total, samples, shared=shared)
    return {name: value / check_count(samples) for name, value in means.items()}
