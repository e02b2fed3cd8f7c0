"""Tensors without memory, and what operators make of them: torch's own, by short cuts where the answer is plain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, in_kernel_invocation_manager

from .forms import FORMS, IN_PLACE, Forms
from .layout import Form, by_rows, laid

PLAIN = frozenset(
    {int, float, bool, complex, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format}
)
"""Kinds of arguments that hold no tensor."""

_EMPTY = torch.ops.aten.empty.memory_format
_META = torch.device("meta")
_NOTHING = (0,)
_MOST = 20000

Result = tuple[Form, torch.device]
_SEEN: dict[tuple[Any, ...], list[Result] | Result] = {}


@dataclass(frozen=True, eq=False)
class _Way:
    """How an operator is answered; found once, since asking its schema takes longer than many an answer."""

    form: Callable[..., Forms] | None
    in_place: Callable[..., bool] | None
    is_view: bool
    is_mutable: bool
    is_fresh: bool


_WAYS: dict[OpOverload, _Way] = {}


def _way(func: OpOverload) -> _Way:
    schema = func._schema
    fresh = not schema.is_mutable and all(result.alias_info is None for result in schema.returns)
    _WAYS[func] = _Way(FORMS.get(func), IN_PLACE.get(func), func.is_view, schema.is_mutable, fresh)
    return _WAYS[func]


def form_of(tensor: FakeTensor) -> Form:
    """Shape, type and steps of a tensor, kept with it, since asking the tensor takes longer."""
    held = vars(tensor)
    form: Form | None = held.get("form")
    if form is None:
        form = held["form"] = laid(tuple(tensor.shape), tensor.dtype, tensor.stride())
    return form


def forget(tensor: Tensor) -> None:
    """What is kept with a tensor holds no more: it was given another shape."""
    vars(tensor).pop("form", None)
    vars(tensor).pop("bare", None)


def read(value: Any, devices: list[torch.device | None]) -> Any:
    """An argument with forms for tensors; ``devices`` gets theirs, None for a tensor that torch must see itself."""
    kind = type(value)
    if kind is FakeTensor:
        devices.append(None if value.constant is not None else value.fake_device)
        return form_of(value)
    if kind is list or kind is tuple:
        return list(value) if value and type(value[0]) is int else [read(x, devices) for x in value]
    if isinstance(value, Tensor):
        devices.append(None)
    return value


def _hint(value: Any) -> Any:
    """An argument as far as shapes depend on it, as something that can be looked up."""
    if type(value) is list:
        return tuple(_hint(x) for x in value)
    return type(value), value  # one, true and 1.0 are equal, and yet give different types


def _key(func: OpOverload, forms: Sequence[Any], named: Mapping[str, Any], device: torch.device | None) -> Any:
    """What a call is looked up by; None where torch must be asked each time."""
    key = (func, device, *map(_hint, forms), *((name, _hint(value)) for name, value in named.items()))
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
        self._empty: dict[Result, FakeTensor] = {}

    def stand_in(self, tensor: Tensor, device: torch.device, shape: Sequence[int] | None = None) -> FakeTensor:
        """What stands for a tensor, with its own stride or, with a shape of its own, row by row."""
        if shape is None:
            return self._made(laid(tuple(tensor.shape), tensor.dtype, tensor.stride()), device)
        return self._made(by_rows(tuple(shape), tensor.dtype), device)

    def _made(self, form: Form, device: torch.device) -> FakeTensor:
        made = self._dressed(torch.empty_strided(form.shape, form.stride, dtype=form.dtype, device=_META), device)
        vars(made)["form"] = form
        return made

    def _dressed(self, hollow: Tensor, device: torch.device) -> FakeTensor:
        """A tensor on ``meta`` as one on another device. The first is made by torch, the others by its pattern."""
        if device not in self._attributes:
            self._attributes[device] = dict(vars(FakeTensor(self.mode, hollow, device)))
        made = Tensor._make_subclass(FakeTensor, hollow, False, dispatch_device=True, device_for_backend_keys=device)
        torch._C._set_throw_on_mutable_data_ptr(made)
        held = vars(made)
        held.update(self._attributes[device])
        held["bare"] = hollow
        return made

    def _given(self, form: Form, device: torch.device) -> FakeTensor:
        """A result. All that hold nothing are one: what a norm does not compute is not made anew each time."""
        if form.shape != _NOTHING:
            return self._made(form, device)
        if (form, device) not in self._empty:
            self._empty[form, device] = self._made(form, device)
        return self._empty[form, device]

    def run(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What an operator gives. What has no short cut, torch is asked, once for the same shapes."""
        way, devices = _WAYS.get(func) or _way(func), list[torch.device | None]()
        forms = [value if type(value) in PLAIN else read(value, devices) for value in args]
        named = {name: read(value, devices) for name, value in kwargs.items()} if kwargs else kwargs
        device = devices[0] if devices else None
        if len(devices) > 1 and any(other != device for other in devices):
            device = None
        if device is not None:
            if way.in_place is not None and way.in_place(*forms, **named):
                return args[0]
            told = None if way.form is None else way.form(*forms, **named)
            if told is not None:
                return self._given(told[0], device) if len(told) == 1 else tuple(self._given(x, device) for x in told)
            if way.is_view:
                return self._viewed(func, args, kwargs, device)
        elif func is _EMPTY and kwargs.get("pin_memory") is not True:
            form = by_rows(tuple(args[0]), kwargs.get("dtype") or torch.get_default_dtype())
            return self._made(form, torch.device(kwargs.get("device") or "cpu"))
        key = _key(func, forms, named, device) if way.is_fresh and device is not None else None
        return self._asked(func, args, kwargs, way) if key is None else self._remembered(func, args, kwargs, key)

    def _asked(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], way: _Way) -> Any:
        try:
            with self.mode:
                return func(*args, **kwargs)
        finally:
            if way.is_mutable:
                for value in (*args, *kwargs.values()):
                    for x in value if type(value) in (list, tuple) else (value,):
                        if type(x) is FakeTensor:
                            forget(x)

    def _viewed(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], device: torch.device) -> Any:
        bare = vars(args[0]).get("bare")
        if bare is not None:
            found = func(bare, *args[1:], **kwargs)
        else:
            with in_kernel_invocation_manager(self.mode):
                found = func(*args, **kwargs)
        if isinstance(found, Tensor):
            return found if type(found) is FakeTensor else self._dressed(found, device)
        return type(found)(x if type(x) is FakeTensor else self._dressed(x, device) for x in found)

    def _remembered(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any], key: Any) -> Any:
        known = _SEEN.get(key)
        if known is not None:
            return self._made(*known) if isinstance(known, tuple) else tuple(self._made(*one) for one in known)
        found = self._asked(func, args, kwargs, _WAYS[func])
        if len(_SEEN) < _MOST:
            if type(found) is FakeTensor and found.constant is None:
                _SEEN[key] = form_of(found), found.fake_device
            elif type(found) is tuple and all(type(x) is FakeTensor and x.constant is None for x in found):
                _SEEN[key] = [(form_of(x), x.fake_device) for x in found]
        return found
