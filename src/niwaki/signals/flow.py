"""The synaptic flow: how much each weight carries from an all-ones input to the outputs, without any data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ..core.errors import SignalError
from ..core.names import bare_model
from ..core.widest import widest, widest_type
from .batches import Batch, map_tensors, on_device, take, tensors_in
from .forward import evaluating
from .gradients import check_count
from .pure import arguments, gradients_of, pair

_PER_CHANNEL = (functional.batch_norm, functional.group_norm, functional.instance_norm)
_PER_FEATURE = (functional.layer_norm, functional.rms_norm)


def _linear_norm(per_channel: bool, given: Mapping[str, Any]) -> Tensor:
    """A norm that looks at nothing: no mean, and no variance of its input; what is left is a scale and a bias."""

    def along(values: Tensor) -> Tensor:
        return values.view(1, -1, *[1] * (given["input"].dim() - 2)) if per_channel else values

    out: Tensor = given["input"]
    if given.get("running_var") is not None:
        out = out / along((given["running_var"] + given.get("eps", 1e-5)).sqrt())
    if given.get("weight") is not None:
        out = out * along(given["weight"])
    return out if given.get("bias") is None else out + along(given["bias"])


class _LinearNorms(TorchFunctionMode):
    """Wherever the model normalises, in a layer of its own or in the middle of a `forward`, it only scales."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _PER_CHANNEL or func in _PER_FEATURE:
            given = inspect.signature(func).bind(*args, **(kwargs or {})).arguments
            return _linear_norm(func in _PER_CHANNEL, given)
        return func(*args, **(kwargs or {}))


def _ones(batches: Iterable[Batch], device: torch.device) -> Any:
    """Inputs like one sample of the first batch, all ones.

    Args:
        batches: pairs of inputs and target.
        device: where the inputs are put.

    Returns:
        Inputs in float64; whole numbers among them (positions, lengths) are left as they are.

    Raises:
        SignalError: there is no batch, or nothing but whole numbers in it.
    """
    first = next(iter(batches), None)
    check_count(0 if first is None else 1)
    sample = on_device(take(pair(first)[0], 0, 1), device)
    if not any(tensor.is_floating_point() for tensor in tensors_in(sample)):
        raise SignalError(
            "the signal 'flow' feeds ones into the network, and these inputs are no floating-point numbers; "
            "score the part behind the embedding, or choose another criterion"
        )
    return map_tensors(sample, lambda t: torch.ones_like(t, dtype=widest_type(device)) if t.is_floating_point() else t)


def _absolute(value: Tensor) -> Tensor:
    return widest(value.detach()).abs() if value.is_floating_point() else value.detach().clone()


def _uncast(device: torch.device) -> AbstractContextManager[object]:
    # Not every kind of device has something to switch off, and torch takes that for an error.
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def synaptic_flow(model: nn.Module, batches: Iterable[Batch], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the summed outputs with respect to ``|theta|``, for an input of ones, in float64.

    The input is one sample of ones, in the shape of the first batch's; the outputs are summed as they come, so leave
    out a final softmax. All parameters and buffers are replaced by their absolute values, dropout is off, and norms
    only scale and shift (by weight, running variance and bias): the network is then linear in every layer, and nothing
    cancels. The model itself is not touched. Meant for networks of ReLUs; other nonlinearities are taken as they are.

    Norms depart from the authors' code, which subtracts the absolute running mean; at initialisation, where it is zero,
    both agree.

    Args:
        model: the model.
        batches: pairs (inputs, target), of which the first gives the shape of the input.
        tensors: the parameters to measure, by plain name.

    Returns:
        Gradients in float64 by name, in a network of ReLUs none negative.

    References:
        Tanaka et al. 2020, "Pruning neural networks without any data by iteratively conserving synaptic flow".
    """
    inner = bare_model(model)
    leaves = {name: widest(tensor.detach()).abs().requires_grad_() for name, tensor in tensors.items()}
    measured = {id(tensor): leaves[name] for name, tensor in tensors.items()}
    state = {
        name: measured[id(value)] if id(value) in measured else _absolute(value)
        for name, value in [*inner.named_parameters(), *inner.named_buffers()]
    }
    device = next(iter(leaves.values())).device
    args, kwargs = arguments(_ones(batches, device))
    with evaluating(inner), _uncast(device), _LinearNorms():
        output = functional_call(inner, state, args, kwargs)
    sums = [value.sum() for value in tensors_in(output) if value.is_floating_point()]
    return gradients_of(torch.stack(sums).sum(), leaves)
