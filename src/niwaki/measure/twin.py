"""A second module tree over other tensors, so that a trial run leaves no trace on the model."""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from types import MethodType
from typing import Any

from torch import Tensor, nn

from ..core.names import bare_model

Convert = Callable[[Tensor], Tensor]

_CONTAINERS = (dict, OrderedDict, defaultdict)


class _Maker:
    """Carries what has been copied already: shared tensors and modules stay shared, circles close."""

    def __init__(self, convert: Convert) -> None:
        self.convert = convert
        self.done: dict[int, Any] = {}

    def value(self, old: Any) -> Any:
        if id(old) in self.done:
            return self.done[id(old)]
        if isinstance(old, Tensor):
            self.done[id(old)] = self.convert(old)
            return self.done[id(old)]
        if isinstance(old, nn.Module):
            return self.module(old)
        if isinstance(old, MethodType) and isinstance(old.__self__, nn.Module):
            return MethodType(old.__func__, self.module(old.__self__))
        if type(old) in _CONTAINERS:
            new = copy.copy(old)
            new.update((key, self.value(item)) for key, item in old.items())
            return new
        if type(old) in {list, tuple}:
            return type(old)(self.value(item) for item in old)
        return copy.copy(old) if type(old) is set else old

    def module(self, old: nn.Module) -> nn.Module:
        old = bare_model(old)
        if id(old) not in self.done:
            new = self.done[id(old)] = object.__new__(type(old))
            for key, value in vars(old).items():
                vars(new)[key] = None if key == "_compiled_call_impl" else self.value(value)
        found: nn.Module = self.done[id(old)]
        return found


def twin(model: nn.Module, convert: Convert) -> tuple[nn.Module, Convert]:
    """A module tree of its own over converted tensors, wrappers left off.

    Modules, their attributes, lists and dictionaries are new, so that nothing a forward pass writes on them reaches the
    model; anything else (numbers, functions, objects) is shared.

    Args:
        model: the model; it is only read.
        convert: gives the tensor to put in a tensor's place. Asked once per tensor.

    Returns:
        The tree, and the conversion it used: the same tensor in, the same tensor out.
    """
    maker = _Maker(convert)
    return maker.module(model), maker.value
