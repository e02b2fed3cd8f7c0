"""Optimizer surgery: what an optimizer remembers of a tensor is cut like the tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from ..core.errors import GroupError

Cuts = Mapping[nn.Parameter, tuple[nn.Parameter, Mapping[int, Tensor]]]
"""For each parameter its successor, and the positions it keeps per axis."""


def _innermost(optimizer: Optimizer) -> Optimizer:
    inner = getattr(optimizer, "optimizer", None)
    return _innermost(inner) if isinstance(inner, Optimizer) else optimizer


def sliced(tensor: Tensor, axes: Mapping[int, Tensor]) -> Tensor:
    """The kept positions of a tensor, in new memory laid out like the old one (channels last stays channels last).

    Args:
        tensor: the tensor.
        axes: per axis the positions to keep.

    Returns:
        A tensor of the same dtype on the same device, without gradient history.
    """
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: -strides[axis])
    found = tensor.detach().permute(order)
    for axis, index in axes.items():
        found = found.index_select(order.index(axis), index.to(tensor.device))
    return found.contiguous().permute([order.index(axis) for axis in range(tensor.dim())])


def _cut_value(key: str, value: Any, shape: tuple[int, ...], axes: Mapping[int, Tensor]) -> Any:
    # One entry of the state: of the parameter's shape, a factor of it (size 1 along some axes), or one number.
    if not isinstance(value, Tensor):
        if isinstance(value, list | tuple | dict) and value:
            raise GroupError(f"the optimizer keeps {key!r} as a {type(value).__name__}, which cannot be cut")
        return value
    if value.dim() == len(shape) and all(n in {1, size} for n, size in zip(value.shape, shape, strict=True)):
        return sliced(value, {axis: index for axis, index in axes.items() if value.shape[axis] == shape[axis]})
    if value.numel() == 1:
        return value
    raise GroupError(
        f"the optimizer keeps {key!r} of shape {tuple(value.shape)} for a parameter of shape {shape}, which cannot be "
        "cut along with it; shrink without optimizer= and build a new one"
    )


def _check_free(optimizer: Optimizer) -> None:
    # What hangs on the optimizer with groups of its own would go on masking tensors that nobody uses any more.
    for hook in (*optimizer._optimizer_step_pre_hooks.values(), *optimizer._optimizer_step_post_hooks.values()):
        holder = getattr(hook, "__self__", None)
        if hasattr(holder, "groups") and hasattr(holder, "detach"):
            raise GroupError(
                f"a {type(holder).__name__} hangs on this optimizer and masks the tensors that are to be cut; call its "
                "detach() first"
            )


def ready_optimizer(optimizer: Optimizer, cuts: Cuts) -> Callable[[], None]:
    """Prepare an optimizer for the successors of its parameters; nothing changes until the result is called.

    State tensors of a parameter's shape (momentum, the moments of Adam, master copies in another dtype) are cut as the
    parameter was, step counters stay. The object, its parameter groups and their lists stay the same, so that learning
    rate schedulers keep working.

    Args:
        optimizer: the optimizer, possibly wrapped.
        cuts: the successor of each parameter of the model.

    Returns:
        What carries the change out.

    Raises:
        GroupError: it holds nothing of the model, or keeps something that cannot be cut.
    """
    inner = _innermost(optimizer)
    held = [parameter for group in inner.param_groups for parameter in group["params"]]
    if not any(parameter in cuts for parameter in held):
        raise GroupError("the optimizer holds no parameter of this model; pass the one that trains it")
    _check_free(inner)
    if isinstance(inner, LBFGS):
        raise GroupError("LBFGS remembers all parameters as one row, which cannot be cut; build a new one afterwards")
    state: dict[Tensor, Any] = {}
    for old in held:
        if old in cuts and old in inner.state:
            new, axes = cuts[old]
            values = inner.state[old].items()
            state[new] = {key: _cut_value(key, value, tuple(old.shape), axes) for key, value in values}

    def carry_out() -> None:
        for group in inner.param_groups:
            group["params"][:] = [cuts[p][0] if p in cuts else p for p in group["params"]]
        for old in held:
            if old in cuts:
                inner.state.pop(old, None)
        inner.state.update(state)

    return carry_out
