"""Tensors without memory, and what operators make of them: torch's own, by short cuts where the answer is plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

from .forms import FORMS, IN_PLACE, Form

_EMPTY = torch.ops.aten.empty.memory_format
_MOST = 20000
_SEEN: dict[tuple[Any, ...], list[Form] | Form] = {}


def _form(tensor: Tensor) -> Form:
    return Form(tuple(tensor.shape), tensor.dtype, tensor.stride())


def _hint(value: Any) -> Any:
    """An argument as far as shapes depend on it, as something that can be looked up."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return type(value), tuple(_hint(x) for x in value)
    return type(value), value  # one, true and 1.0 are equal, and yet give different types


def _key(func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], device: torch.device) -> Any:
    """What a call is looked up by; None where torch must be asked each time."""
    if func._schema.is_mutable or any(result.alias_info is not None for result in func._schema.returns):
        return None
    key = (func, device, *map(_hint, args), *((name, _hint(value)) for name, value in kwargs.items()))
    try:
        hash(key)
    except TypeError:
        return None
    return key


class Hollows:
    """Makes tensors without memory, and runs operators on them."""

    def __init__(self) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._attributes: dict[torch.device, dict[str, Any]] = {}

    def stand_in(self, tensor: Tensor, device: torch.device, shape: Sequence[int] | None = None) -> FakeTensor:
        """What stands for a tensor, with its own stride or, with a shape of its own, row by row."""
        stride = tensor.stride() if shape is None else None
        return self._made(Form(tuple(tensor.shape if shape is None else shape), tensor.dtype, stride), device)

    def _made(self, form: Form, device: torch.device) -> FakeTensor:
        if form.stride is None:
            hollow = torch.empty(form.shape, dtype=form.dtype, device="meta")
        else:
            hollow = torch.empty_strided(form.shape, form.stride, dtype=form.dtype, device="meta")
        return self._dressed(hollow, device)

    def _dressed(self, hollow: Tensor, device: torch.device) -> FakeTensor:
        """A tensor on ``meta`` as one on another device. The first is made by torch, the others by its pattern."""
        if device not in self._attributes:
            first = FakeTensor(self.mode, hollow, device)
            self._attributes[device] = dict(vars(first))
            return first
        made = Tensor._make_subclass(FakeTensor, hollow, False, dispatch_device=True, device_for_backend_keys=device)
        torch._C._set_throw_on_mutable_data_ptr(made)
        vars(made).update(self._attributes[device])
        return made

    def _device(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.device | None:
        """The one device of all tensors; None if there are several, or tensors that know their values."""
        found = None
        for value in (*args, *kwargs.values()):
            for x in value if type(value) in (list, tuple) else (value,):
                if type(x) is FakeTensor:
                    if x.constant is not None or (found is not None and x.fake_device != found):
                        return None
                    found = x.fake_device
                elif isinstance(x, Tensor):
                    return None
        return found

    def run(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What an operator gives. What has no short cut, torch is asked, once for the same shapes."""
        device = self._device(args, kwargs)
        if device is None and func is _EMPTY and kwargs.get("pin_memory") is not True:
            form = Form(tuple(args[0]), kwargs.get("dtype") or torch.get_default_dtype())
            return self._made(form, torch.device(kwargs.get("device") or "cpu"))
        if device is None:
            return self._asked(func, args, kwargs)
        if func in IN_PLACE and IN_PLACE[func](*args, **kwargs):
            return args[0]
        forms = FORMS[func](*args, **kwargs) if func in FORMS else None
        if forms is not None:
            made = [self._made(form, device) for form in forms]
            return made[0] if len(made) == 1 else tuple(made)
        if func.is_view:
            return self._viewed(func, args, kwargs, device)
        return self._remembered(func, args, kwargs, device)

    def _asked(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with self.mode:
            return func(*args, **kwargs)

    def _viewed(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], device: torch.device) -> Any:
        with in_kernel_invocation_manager(self.mode):
            found = func(*args, **kwargs)
        if isinstance(found, Tensor):
            return found if type(found) is FakeTensor else self._dressed(found, device)
        return type(found)(x if type(x) is FakeTensor else self._dressed(x, device) for x in found)

    def _remembered(
        self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], device: torch.device
    ) -> Any:
        key = _key(func, args, kwargs, device)
        known = _SEEN.get(key) if key is not None else None
        if known is not None:
            if isinstance(known, Form):
                return self._made(known, device)
            return tuple(self._made(form, device) for form in known)
        found = self._asked(func, args, kwargs)
        if key is not None and len(_SEEN) < _MOST:
            if type(found) is FakeTensor and found.fake_device == device:
                _SEEN[key] = _form(found)
            elif type(found) is tuple and all(type(x) is FakeTensor and x.fake_device == device for x in found):
                _SEEN[key] = [_form(x) for x in found]
        return found
