"""Norms of what enters a layer: how strongly each input of a weight is used by the data."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..core.names import bare_model
from ..core.widest import wide, widest, widest_type
from .batches import Batch
from .forward import Forward, evaluating, run_forward
from .processes import summed

_ATEN = torch.ops.aten
_PRODUCTS: dict[Any, int] = {
    _ATEN.mm.default: 0,
    _ATEN.bmm.default: 0,
    _ATEN.mv.default: 0,
    _ATEN.addmm.default: 1,
    _ATEN.baddbmm.default: 1,
    _ATEN.addmv.default: 1,
}
"""Products of two operands, and the place of the first of them among the arguments."""

_Place = tuple[tuple[int, ...], tuple[int, ...], int]
"""Shape, strides and offset of a view into a parameter."""


def _squares(values: Tensor) -> Tensor:
    return widest(values).square()


def _into_right(left: Tensor, right: Tensor) -> Tensor:
    """Sums of what enters the right operand, ``[..., K, N]`` or ``[K]``, laid along its axes."""
    return _squares(left).sum(0) if right.dim() == 1 else _squares(left).sum(-2).unsqueeze(-1)


def _into_left(left: Tensor, right: Tensor) -> Tensor:
    """Sums of what enters the left operand, ``[..., M, K]``, laid along its axes."""
    return (_squares(right) if right.dim() == 1 else _squares(right).sum(-1)).unsqueeze(-2)


def _into_kernel(inputs: Tensor, weight: Tensor, *, transposed: bool, groups: int) -> Tensor:
    """Sums over samples and positions of each input channel, laid along the axes of the weight."""
    sums = _squares(inputs).transpose(0, 1).flatten(1).sum(1)
    kernel = [1] * (weight.dim() - 2)
    if transposed:
        return sums.view(-1, 1, *kernel)
    if groups > 1:
        # A row of the weight reads only the channels of its own part.
        sums = sums.view(groups, 1, -1).expand(-1, weight.shape[0] // groups, -1).flatten(0, 1)
    return sums.view(-1, weight.shape[1], *kernel)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every product of a forward pass, and knows the parameters among the operands by their memory.

    Modules are not asked: a projection inside `nn.MultiheadAttention`, a bare parameter in an einsum and the layer of
    another library are products like any other. Every view of a parameter has sums of its own.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.sums: dict[str, dict[_Place, Tensor]] = {}
        self._at: dict[int, list[tuple[int, int, str]]] = {}
        for name, parameter in parameters.items():
            first = int(parameter.storage_offset())
            memory = self._at.setdefault(parameter.untyped_storage().data_ptr(), [])
            memory.append((first, first + parameter.numel(), name))

    def _add(self, weight: Tensor, inputs: Callable[[], Tensor]) -> None:
        offset = int(weight.storage_offset())
        for first, last, name in self._at.get(weight.untyped_storage().data_ptr(), ()):
            if not first <= offset < last:
                continue
            sums, shape, strides = inputs(), list(weight.shape), weight.stride()
            for axis, stride in enumerate(strides):
                if stride == 0 and shape[axis] > 1:
                    # One weight that many read: what enters any of them enters it.
                    sums, shape[axis] = sums.sum(axis, keepdim=True), 1
            place = (tuple(shape), strides, offset - first)
            found = self.sums.setdefault(name, {})
            found[place] = found[place] + sums if place in found else sums

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _PRODUCTS:
            left, right = args[_PRODUCTS[func] :][:2]
            self._add(right, lambda: _into_right(left, right))
            self._add(left, lambda: _into_left(left, right))
        elif func is _ATEN.convolution.default:
            inputs, weight, transposed, groups = (args[i] for i in (0, 1, 6, 8))
            self._add(weight, lambda: _into_kernel(inputs, weight, transposed=transposed, groups=groups))
        return func(*args, **(kwargs or {}))


@contextmanager
def _unfused() -> Generator[None]:
    # The fused operator of attention layers would be one product of everything.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _laid(parameter: Tensor, found: Mapping[_Place, Tensor]) -> Tensor:
    """The sums of all views of a parameter, element by element."""
    reach = 1 + sum((size - 1) * stride for size, stride in zip(parameter.shape, parameter.stride(), strict=True))
    flat = torch.zeros(reach, dtype=widest_type(parameter.device), device=parameter.device)
    for place, sums in found.items():
        flat.as_strided(*place).add_(sums)
    return flat.as_strided(parameter.shape, parameter.stride())


def input_norms(
    model: nn.Module, forward: Forward, batches: Iterable[Batch], parameters: Mapping[str, Tensor], *, shared: bool
) -> dict[str, Tensor]:
    """The norm of what enters each element of a weight: ``sqrt(sum over samples and positions of x_j^2)``.

    ``x_j`` is the input feature, or for a convolution the input channel, that the element multiplies: the same number
    for all rows of a linear layer, and for all places of a kernel. Sums run batch by batch in float64. The model is
    run in `eval` mode. Weights that are multiplied by nothing (biases, norms, embeddings), complex ones, and those
    inside a fused recurrent layer or copied before they are used, are not seen and absent.

    Args:
        model: the model.
        forward: calls it on a batch.
        batches: the batches.
        parameters: those to measure, by name.
        shared: whether to sum over processes.

    Returns:
        Norms by tensor name, of the tensors' shapes, in float32 at least.
    """
    real = {name: parameter for name, parameter in parameters.items() if not parameter.is_complex()}
    with evaluating(bare_model(model)), _unfused(), _Watch(real) as watch:
        run_forward(model, forward, batches)
    norms: dict[str, Tensor] = {}
    for name, parameter in real.items():
        seen = int(name in watch.sums)
        if not seen and not shared:
            continue
        sums, seen = summed({name: _laid(parameter.detach(), watch.sums.get(name, {}))}, seen, shared=shared)
        if seen:
            norms[name] = sums[name].sqrt().to(wide(parameter.detach()).dtype)
    return norms
