"""Products with the Hessian of the mean loss (Pearlmutter 1994): exact, by differentiating twice."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..core.widest import wide
from .batches import Batch, samples_in
from .gradients import check_count
from .processes import summed
from .pure import LossOf, PureLoss, empty_sums, gradients_of


@contextmanager
def _twice_differentiable(model: nn.Module) -> Generator[None, None, None]:
    """Fused attention and cuDNN's recurrent layers have no second derivative; their plain forms have."""
    has_recurrence = any(isinstance(module, nn.RNNBase) for module in model.modules())
    cudnn = torch.backends.cudnn.enabled and not has_recurrence
    with sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=cudnn):
        yield


def _product(
    gradients: Mapping[str, Tensor], leaves: Mapping[str, Tensor], vector: Mapping[str, Tensor], *, again: bool = False
) -> dict[str, Tensor]:
    inner = torch.stack([(wide(g) * vector[name]).sum() for name, g in gradients.items()]).sum()
    if not inner.requires_grad:
        # The loss is linear in the parameters: its gradient is constant.
        return empty_sums(leaves)
    found = torch.autograd.grad(
        inner, list(leaves.values()), retain_graph=again, allow_unused=True, materialize_grads=True
    )
    return {name: wide(value) for name, value in zip(leaves, found, strict=True)}


def hessian_times(
    pure: PureLoss, batches: Iterable[Batch], vector: Mapping[str, Tensor], *, shared: bool
) -> dict[str, Tensor]:
    """The Hessian of the mean loss of all samples times a vector, ``H v``.

    Args:
        pure: the loss.
        batches: the batches.
        vector: by tensor name.
        shared: whether to average over processes.

    Returns:
        The product by tensor name. Each batch costs about four passes of the network.
    """
    leaves = pure.leaves()
    total, samples = empty_sums(leaves), 0
    with _twice_differentiable(pure.stepper):
        for batch in batches:
            here = samples_in(batch)
            gradients = gradients_of(pure(leaves, batch), leaves, keep_graph=True)
            for name, value in _product(gradients, leaves, vector).items():
                total[name].add_(value, alpha=here)
            samples += here
    sums, samples = summed(total, samples, shared=shared)
    return {name: value / check_count(samples) for name, value in sums.items()}


def _signs(leaves: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    drawn = {name: torch.randint(0, 2, leaf.shape, generator=generator) for name, leaf in leaves.items()}
    return {name: (2 * bits - 1).to(wide(leaves[name])) for name, bits in drawn.items()}


def hessian_diagonal(
    pure: LossOf, batches: Iterable[Batch], generator: torch.Generator, *, draws: int, shared: bool
) -> dict[str, Tensor]:
    """An unbiased estimate of the diagonal of the Hessian: the mean of ``z * (H z)`` over vectors of random signs.

    The error falls with the root of the number of draws and comes from the off-diagonal elements alone: a diagonal
    Hessian is met exactly by one draw.

    Args:
        pure: the loss.
        batches: the batches.
        generator: for the signs, on the CPU; each batch draws its own.
        draws: how many per batch, at least one.
        shared: whether to average over processes.

    Returns:
        Estimates by tensor name.
    """
    leaves = pure.leaves()
    total, samples = empty_sums(leaves), 0
    with _twice_differentiable(pure.stepper):
        for batch in batches:
            here = samples_in(batch)
            gradients = gradients_of(pure(leaves, batch), leaves, keep_graph=True)
            for _ in range(draws):
                signs = _signs(leaves, generator)
                for name, value in _product(gradients, leaves, signs, again=True).items():
                    total[name].add_(value * signs[name], alpha=here / draws)
            samples += here
    sums, samples = summed(total, samples, shared=shared)
    return {name: value / check_count(samples) for name, value in sums.items()}
