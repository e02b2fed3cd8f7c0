"""Optimizer state follows the units: cleared where they change, put away while the active ones are frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

State = dict[str, Any]


def inner_optimizer(optimizer: Optimizer) -> Optimizer:
    """The optimizer under wrappers such as `accelerate`'s, which holds the state and runs the hooks."""
    inner = getattr(optimizer, "optimizer", None)
    return inner_optimizer(inner) if isinstance(inner, Optimizer) else optimizer


def _start(optimizer: Optimizer, parameter: nn.Parameter, key: str) -> float:
    """What an optimizer begins a tensor of its state with: zero, but for these two."""
    begins = {torch.optim.Rprop: ("step_size", "lr"), torch.optim.Adagrad: ("sum", "initial_accumulator_value")}
    for kind, (tensor, setting) in begins.items():
        if isinstance(optimizer, kind) and key == tensor:
            own = next(g for g in optimizer.param_groups if any(parameter is one for one in g["params"]))
            return float(own[setting])
    return 0.0


def clear_state(optimizer: Optimizer, parameter: nn.Parameter, where: Tensor) -> None:
    """Take every optimizer tensor of the parameter's shape back to its start at the marked elements."""
    for key, value in optimizer.state.get(parameter, {}).items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            value.masked_fill_(where, _start(optimizer, parameter, key))


def put_away(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, State]:
    """Take the optimizer's state of these parameters out of it, untouched; it will begin them anew.

    Args:
        optimizer: the optimizer.
        parameters: by name.

    Returns:
        The very tensors that the optimizer held, by parameter name.
    """
    held: dict[str, State] = {}
    for name, parameter in parameters.items():
        if parameter in optimizer.state:
            held[name] = optimizer.state.pop(parameter)
            if isinstance(optimizer, torch.optim.Adagrad):
                # Adagrad makes its state when it is built, and fails without it.
                optimizer.state[parameter] = {
                    key: torch.full_like(value, _start(optimizer, parameter, key)) for key, value in held[name].items()
                }
    return held


def take_back(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], held: Mapping[str, State]) -> None:
    """Undo `put_away`: what the optimizer made meanwhile is dropped."""
    for name, parameter in parameters.items():
        optimizer.state.pop(parameter, None)
        if name in held:
            optimizer.state[parameter] = held[name]


def clear_gradients(optimizer: Optimizer, parameters: Iterable[nn.Parameter] | None = None) -> None:
    """Drop gradients, so that the coming update passes these parameters (default: all) over entirely.

    An optimizer skips a parameter without gradient: no value, no momentum, no weight decay changes, bit for bit.
    """
    for parameter in parameters if parameters is not None else all_parameters(optimizer):
        parameter.grad = None


def all_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Every parameter the optimizer holds, in the order of its groups."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def beside(optimizer: Optimizer, tensors: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """What the optimizer holds besides these, also what was added since it was made."""
    known = {id(tensor) for tensor in tensors}
    return [parameter for parameter in all_parameters(optimizer) if id(parameter) not in known]


def scale_rates(optimizer: Optimizer, factor: float) -> list[Any]:
    """Multiply the learning rate of every parameter group; gives the old ones, for `restore_rates`."""
    before = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor
    return before


def restore_rates(optimizer: Optimizer, before: list[Any]) -> None:
    """Put learning rates back, the very objects."""
    for group, rate in zip(optimizer.param_groups, before, strict=True):
        group["lr"] = rate


def stateless(optimizer: Optimizer) -> list[nn.Parameter]:
    """The parameters for which the optimizer holds nothing yet."""
    return [parameter for parameter in all_parameters(optimizer) if not optimizer.state.get(parameter)]


def is_skipped(optimizer: Optimizer) -> bool:
    """Whether a gradient scaler has told a fused optimizer that this update will not happen."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(torch.as_tensor(found).item())


def gradient_scale(optimizer: Optimizer) -> float:
    """What a fused optimizer will divide the gradients by in this update; 1 in all other cases."""
    scale = getattr(optimizer, "grad_scale", None)
    return 1.0 if scale is None else float(scale)
