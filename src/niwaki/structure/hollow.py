"""A copy of a model whose tensors are replaced: the modules are new, what they are made of is not copied twice."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import GroupError

_ATOMS = frozenset(
    {int, float, str, bool, bytes, complex, type(None), type, torch.dtype, torch.device, FunctionType}
    | {BuiltinFunctionType}
)
"""Kinds of values that `copy.deepcopy` gives back as they are."""

_EMPTY = (dict, OrderedDict, list, set)
_HOLDERS = frozenset({"_parameters", "_buffers", "_modules"})
_OF_ALL = frozenset(vars(nn.Module()))
"""What every module has: no two share it, so that an empty one need not be remembered."""

Memo = dict[int, Any]


def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether a class is copied by its attributes, and has no way of its own."""
    return (
        getattr(kind, "__deepcopy__", None) is None
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is nn.Module.__getstate__
    )


def _value(value: Any, memo: Memo) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if id(value) in memo:
        return memo[id(value)]
    # Most containers of a module are empty, or hold plain values; copy.deepcopy takes its time with them.
    if kind in _EMPTY and not value:
        memo[id(value)] = kind()
        return memo[id(value)]
    if kind in (tuple, list) and all(type(x) in _ATOMS for x in value):
        memo[id(value)] = kind(value)
        return memo[id(value)]
    return _module(value, memo) if isinstance(value, nn.Module) else copy.deepcopy(value, memo)


def _module(module: nn.Module, memo: Memo) -> Any:
    found = memo.get(id(module))
    if found is not None:
        return found
    kind = type(module)
    state = module.__getstate__() if _is_plain(kind) else None  # type: ignore[no-untyped-call]
    if type(state) is not dict:
        return copy.deepcopy(module, memo)
    double = memo[id(module)] = kind.__new__(kind)
    fresh = dict(state)
    for name, value in state.items():
        inner = type(value)
        if inner in _ATOMS:
            continue
        if inner in _EMPTY and not value and name in _OF_ALL:
            fresh[name] = inner()
        elif name in _HOLDERS and inner in (dict, OrderedDict):
            fresh[name] = inner([(key, _value(item, memo)) for key, item in value.items()])
        else:
            fresh[name] = _value(value, memo)
    if kind.__setstate__ is nn.Module.__setstate__:  # which fills in what models of old files lack
        vars(double).update(fresh)
    else:
        double.__setstate__(fresh)  # type: ignore[no-untyped-call]
    return double


def hollow(model: nn.Module, make: Callable[[str, Tensor], Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy with stand-ins for parameters and buffers, shared ones shared.

    The copy, and not the model, keeps what a forward leaves behind: modes, counters, cached tables. It is what
    `copy.deepcopy` would make, many times as fast.

    Args:
        model: the model.
        make: from a name and a tensor to what stands for it.

    Returns:
        The copy, and the stand-ins by name, the first one where a tensor has several.

    Raises:
        GroupError: the model cannot be copied.
    """
    memo: Memo = {}
    parameters, buffers = dict[str, Tensor](), dict[str, Tensor]()
    for path, module in model.named_modules():
        lead = f"{path}." if path else ""
        for own, found in ((module._parameters, parameters), (module._buffers, buffers)):
            for name, tensor in own.items():
                if tensor is not None:
                    found[lead + name] = tensor
        # Tensors that are plain attributes stay what they are: not all of them can be copied.
        for value in vars(module).values():
            if isinstance(value, Tensor):
                memo[id(value)] = value.detach()
    held: dict[str, Tensor] = {}
    known = set[int]()
    for name, tensor in [*parameters.items(), *buffers.items()]:
        if id(tensor) not in known:
            known.add(id(tensor))
            memo[id(tensor)] = held[name] = make(name, tensor)
    try:
        return _module(model, memo), held
    except (RuntimeError, TypeError) as error:
        raise GroupError(
            f"{type(model).__name__} cannot be copied ({error}); take off what cannot be copied, then find its groups"
        ) from error
