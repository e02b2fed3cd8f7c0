"""The calls of a forward pass as they come by, each with its tensors by number and the module it was made in."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from .fake import PLAIN, Hollows, forget
from .recording import Call, Recording, Ref

_SMALL = 64
_NAMES: dict[OpOverload, tuple[str, ...]] = {}
_DEVICE = torch.ops.prim.device.default


def _names(op: OpOverload) -> tuple[str, ...]:
    """What the arguments of an operator are called."""
    if op not in _NAMES:
        _NAMES[op] = tuple(argument.name for argument in op._schema.arguments)
    return _NAMES[op]


class Notes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what passes. ``hollows`` runs it without memory; without, it runs as it is."""

    def __init__(self, recording: Recording, hollows: Hollows | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.hollows = hollows
        self.stack = [""]
        # Tensors are kept alive, so that their ids stay theirs.
        self.seen: dict[int, tuple[Tensor, Ref, tuple[int, ...]]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and asking at each call takes longer than noting it

    def ref(self, tensor: Tensor) -> Ref:
        """The number of a tensor, a new one if it was never seen or has another shape by now."""
        known = self.seen.get(id(tensor))
        if known is not None and known[2] == tensor.shape:
            return known[1]
        if known is not None:
            forget(tensor)
        return self._numbered(tensor, tuple(tensor.shape))

    def _numbered(self, tensor: Tensor, shape: tuple[int, ...]) -> Ref:
        number = len(self.recording.shapes)
        found = Ref(number)
        self.seen[id(tensor)] = tensor, found, shape
        self.recording.shapes[number] = shape
        self.recording.storage[number] = _storage(tensor)
        return found

    def _given(self, value: Any) -> Any:
        """An argument with a `Ref` for every tensor; those never seen before are told from the others."""
        if isinstance(value, Tensor):
            if id(value) not in self.seen:
                self.recording.foreign[self.ref(value).number] = value
            return self.ref(value)
        if type(value) not in (list, tuple):
            return value
        return list(value) if value and type(value[0]) is int else [self._given(x) for x in value]

    def _outs(self, result: Any) -> tuple[Ref | None, ...]:
        if isinstance(result, Tensor):
            return (self.ref(result),)
        flat = tree_iter(result) if type(result) is not tuple or any(type(x) is list for x in result) else result
        return tuple([self.ref(x) if isinstance(x, Tensor) else None for x in flat])

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            known = func is _DEVICE and type(args[0]) is FakeTensor
            return args[0].fake_device if known else func(*args, **kwargs)
        # Before the call: an operator that resizes its argument must not rewrite what went in.
        given = {}
        for name, value in zip(_names(func), args, strict=False):
            given[name] = value if type(value) in PLAIN else self._given(value)
        for name, value in kwargs.items():
            given[name] = self._given(value)
        if func is torch.ops.aten.lift_fresh.default and args[0].numel() <= _SMALL:
            self.recording.constants[self.ref(args[0]).number] = args[0]
        result = func(*args, **kwargs) if self.hollows is None else self.hollows.run(func, args, kwargs)
        self.recording.calls.append(Call(func, given, self._outs(result), self.stack[-1]))
        return result


def _storage(tensor: Tensor) -> int:
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse and other layouts have none: each is alone
        return -id(tensor)


@contextmanager
def places(modules: Mapping[str, nn.Module], notes: Notes) -> Generator[None, None, None]:
    """Keep the name of the module whose forward runs on top of the stack."""
    names = {id(module): name for name, module in modules.items()}

    def enter(module: nn.Module, _: object) -> None:
        notes.stack.append(names.get(id(module), notes.stack[-1]))

    def leave(module: nn.Module, _: object, __: object) -> None:
        notes.stack.pop()

    handles = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
