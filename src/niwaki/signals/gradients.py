"""Gradients of the mean loss, and their squares and absolute values batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ..core.errors import SignalError
from ..core.widest import wide
from .batches import Batch, samples_in
from .processes import in_step, summed
from .pure import PureLoss, empty_sums, gradients_of

PER_BATCH = frozenset({"grad_batches_sq", "grad_batches_abs"})


def check_count(count: int) -> int:
    """The count, if anything was counted.

    Args:
        count: samples or batches.

    Returns:
        The count.

    Raises:
        SignalError: it is zero.
    """
    if not count:
        raise SignalError(
            "there were no batches: they are empty, or an iterator that was read to its end before; "
            "give a list or a DataLoader, which can be read again"
        )
    return count


@dataclass
class _Moments:
    square: dict[str, Tensor]
    absolute: dict[str, Tensor]
    batches: int = field(default=0)

    def add(self, gradients: Mapping[str, Tensor]) -> None:
        self.batches += 1
        for name, gradient in gradients.items():
            self.square[name].add_(gradient.square())
            self.absolute[name].add_(gradient.abs())

    def means(self) -> dict[str, dict[str, Tensor]]:
        return {
            "grad_batches_sq": {name: value / self.batches for name, value in self.square.items()},
            "grad_batches_abs": {name: value / self.batches for name, value in self.absolute.items()},
        }


def batch_gradients(
    pure: PureLoss, batches: Iterable[Batch], kinds: frozenset[str], *, shared: bool
) -> dict[str, Mapping[str, Tensor]]:
    """Statistics of the gradient over batches.

    ``grad`` is the gradient of the mean loss of all samples: the mean of the batches' gradients ``g_b``, weighted by
    their samples. ``grad_batches_sq`` and ``grad_batches_abs`` are the plain means of ``g_b^2`` and ``|g_b|`` over
    batches. With several processes, the batches that they read at the same time make up one: it is averaged first and
    squared afterwards.

    Args:
        pure: the loss.
        batches: the batches.
        kinds: which of the three are wanted.
        shared: whether to average over processes.

    Returns:
        The wanted kinds, by tensor name.
    """
    leaves = pure.leaves()
    total, samples = empty_sums(leaves), 0
    # Squares and absolute values want the sum over processes for every batch, the mean gradient only once at the end.
    together = shared and bool(kinds & PER_BATCH)
    moments = _Moments(empty_sums(leaves), empty_sums(leaves)) if kinds & PER_BATCH else None
    for batch in in_step(batches, pure.device, shared=together):
        here = samples_in(batch)
        gradients = gradients_of(pure(leaves, batch), leaves)
        weighted, count = summed({n: wide(g) * here for n, g in gradients.items()}, here, shared=together)
        samples += count
        for name, gradient in weighted.items():
            total[name].add_(gradient)
        if moments is not None:
            moments.add({name: gradient / count for name, gradient in weighted.items()})
    sums, samples = summed(total, samples, shared=shared and not together)
    check_count(samples)
    found = moments.means() if moments is not None else {}
    found["grad"] = {name: value / samples for name, value in sums.items()}
    return {kind: found[kind] for kind in found if kind in kinds}
