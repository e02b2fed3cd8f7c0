"""Forward FLOPs of a model, and the parameter tensor that each product belongs to."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from ..core.errors import TrainError, said
from ..core.names import parameters_of
from .products import Owners, ProductMode
from .twin import Convert, twin


@dataclass(frozen=True)
class ModelFlops:
    """Forward FLOPs of one batch, by the parameter tensor whose product it is.

    A multiplication and an addition count as two: FLOPs are twice the MACs. Only products (linear, convolution,
    attention, recurrent layers) are counted; normalisation, activations and pooling are not.

    Args:
        per_tensor: FLOPs per parameter name. A tensor without a product (bias, norm, embedding) is absent.
        other: FLOPs of products without a parameter, such as query times key.
        batch: the samples in the batch, which is the first size of the first tensor given.
        uncounted: products met for which there is no formula; the numbers leave them out.
    """

    per_tensor: Mapping[str, float]
    other: float
    batch: int
    uncounted: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """All FLOPs of the batch."""
        return self.other + sum(self.per_tensor.values())

    def for_batch(self, batch: int) -> ModelFlops:
        """The same for a batch of another size, by proportion."""
        factor = batch / self.batch
        per_tensor = {name: flops * factor for name, flops in self.per_tensor.items()}
        return replace(self, per_tensor=per_tensor, other=self.other * factor, batch=batch)


@contextmanager
def unfused() -> Generator[None]:
    """Attention by its single products; the fused operator of `nn.MultiheadAttention` tells nothing of its weights."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _count(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], convert: Convert) -> ProductMode:
    copy, same = twin(model, convert)
    own_args, own_kwargs = tree_map(lambda leaf: same(leaf) if isinstance(leaf, Tensor) else leaf, (args, kwargs))
    parameters = {name: same(parameter) for name, parameter in parameters_of(model).items()}
    counter = ProductMode(Owners(parameters, [same(buffer) for buffer in model.buffers()]))
    with unfused(), counter:
        copy(*own_args, **own_kwargs)
    return counter


def _count_on_fakes(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ProductMode:
    from torch._subclasses.fake_tensor import FakeTensorMode  # slow to import

    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        return _count(model, args, kwargs, mode.from_tensor)


def _copied(tensor: Tensor) -> Tensor:
    if not isinstance(tensor, nn.Parameter):
        return tensor.detach().clone().requires_grad_(tensor.requires_grad and torch.is_grad_enabled())
    # The same memory; but a forward pass that differentiates must not write on the real `.grad`, nor call its hooks.
    return nn.Parameter(tensor.detach(), tensor.requires_grad) if torch.is_grad_enabled() else tensor


def _count_on_copies(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ProductMode:
    devices = {t.device.index for t in [*model.parameters(), *model.buffers()] if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(devices)):
        return _count(model, args, kwargs, _copied)


def _run_once(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ProductMode:
    try:
        return _count_on_fakes(model, args, kwargs)
    except Exception as unfit:  # whatever a forward pass may raise on tensors without values
        try:
            return _count_on_copies(model, args, kwargs)
        except Exception as error:
            raise TrainError(
                f"{type(model).__name__} could not be run once to count its FLOPs: {said(error)}; "
                "give as args= and kwargs= what its forward takes, on its device "
                f"(on tensors without values it failed with {type(unfit).__name__})"
            ) from error


def _batch(values: Any) -> int:
    first = next((leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)), None)
    return first.shape[0] if first is not None and first.dim() else 1


def count_flops(model: nn.Module, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> ModelFlops:
    """Count the FLOPs of one forward pass, attributed to parameters.

    The model runs once on tensors without memory, in the mode (train or eval) that it is in, or, where its control
    flow depends on values, on its real parameters with copies of everything else. Gradients are off, or, where it
    cannot run so, on: then products of derivatives that the forward pass takes are counted, too. None of this leaves a
    trace: parameters, buffers, attributes, and the state of random generators stay as they are. Autocast applies if it
    is on around the call.

    A product belongs to the parameter that is one of its factors: directly, as a view, or cast, masked or
    reparametrised on the way. Of two parameters multiplied with each other it is the one in the place of the weight.

    Args:
        model: the model, possibly compiled or wrapped by DDP.
        args: what its forward takes.
        kwargs: the same by name.

    Returns:
        The FLOPs of this batch. A `TrainError` if the model cannot be run this way.

    >>> flops = count_flops(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)), (torch.zeros(5, 8),))
    >>> flops.per_tensor, flops.total  # 2 * 5 * 8 * 4 and 2 * 5 * 4 * 2
    ({'0.weight': 320.0, '2.weight': 80.0}, 400.0)
    """
    kwargs = kwargs or {}
    try:
        with torch.no_grad():
            counter = _run_once(model, args, kwargs)
    except TrainError:  # it may differentiate on its way
        with torch.enable_grad():
            counter = _run_once(model, args, kwargs)
    return ModelFlops(counter.per_tensor, counter.other, _batch((args, kwargs)), tuple(sorted(counter.uncounted)))
