"""One forward pass, written down: every ATen call with its shapes, on tensors that hold no memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from ..core.errors import GroupError
from ..core.names import bare_model, plain_name
from .fake import PLAIN, Hollows, forget
from .hollow import hollow
from .recording import Call, Example, Recording, Ref


class RecordingError(GroupError):
    """A forward pass that could not be written down to its end; ``done`` is what was, ``module`` where it stopped."""

    def __init__(self, message: str, done: Recording, module: str) -> None:
        super().__init__(message)
        self.done = done
        self.module = module


_SMALL = 64
_NAMES: dict[OpOverload, tuple[str, ...]] = {}
_DEVICE = torch.ops.prim.device.default


def _names(op: OpOverload) -> tuple[str, ...]:
    """What the arguments of an operator are called."""
    if op not in _NAMES:
        _NAMES[op] = tuple(argument.name for argument in op._schema.arguments)
    return _NAMES[op]


class _Notes(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
def _places(model: nn.Module, notes: _Notes) -> Generator[None, None, None]:
    """Keep the name of the module whose forward runs on top of the stack."""
    names = {id(module): name for name, module in model.named_modules()}

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


@contextmanager
def _undisturbed(model: nn.Module) -> Generator[None, None, None]:
    """No gradients, no fused kernels that hide what they do, no log of what may fail; all is put back afterwards."""
    asked = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # else no parameter can be there
    cuda = {p.device.index for p in model.parameters() if p.device.type == "cuda"} if asked else set[int]()
    fused, mkldnn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    log = logging.getLogger("torch._subclasses.fake_tensor")
    silent = log.disabled
    with torch.no_grad(), torch.random.fork_rng(devices=sorted(cuda)):
        try:
            log.disabled = True
            torch.backends.mha.set_fastpath_enabled(False)
            # Not by torch.backends.mkldnn.flags, which warns about graphics cards it was not asked about.
            torch._C._set_mkldnn_enabled(False)
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
            torch._C._set_mkldnn_enabled(mkldnn)
            log.disabled = silent


def _inputs(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, Mapping):
        return (), dict(example)
    if isinstance(example, tuple | list):
        return tuple(example), {}
    if isinstance(example, Tensor):
        return (example,), {}
    raise GroupError(
        f"the example is a {type(example).__name__}; give a tensor, a tuple of inputs, or a mapping of keyword inputs"
    )


@dataclass(frozen=True, eq=False)
class Smaller:
    """How a model is cut before its pass: the shapes of its tensors, and what else is to be done to the copy."""

    shapes: Mapping[str, tuple[int, ...]]
    finish: Callable[[nn.Module], None]


def _copy(model: nn.Module, example: Example, smaller: Smaller | None, hollows: Hollows | None) -> tuple[Any, ...]:
    """Inputs and a model for one pass: on stand-ins without memory, or on memory of their own."""
    args, kwargs = _inputs(example)
    device = next((x.device for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)), torch.device("cpu"))
    shapes = {} if smaller is None else smaller.shapes

    def make(name: str, tensor: Tensor) -> Tensor:
        if hollows is None:  # a forward may write on what it is given; on parameters it does not
            return tensor.detach() if isinstance(tensor, nn.Parameter) else tensor.detach().clone()
        return hollows.stand_in(tensor, device if tensor.is_meta else tensor.device, shapes.get(plain_name(name)))

    args, kwargs = tree_map(lambda x: make("", x) if isinstance(x, Tensor) else x, (args, kwargs))
    double, held = hollow(model, make)
    if smaller is not None:
        smaller.finish(double)
    return args, kwargs, double, held


def _run(model: nn.Module, example: Example, *, fake: bool, training: bool = False,
         smaller: Smaller | None = None) -> Recording:  # fmt: skip
    recording, hollows = Recording(), Hollows() if fake else None
    notes = _Notes(recording, hollows)
    with ExitStack() as stack:
        stack.enter_context(_undisturbed(model))
        args, kwargs, double, held = _copy(model, example, smaller, hollows)
        double.train(training)
        stack.enter_context(_places(double, notes))
        for name, tensor in held.items():
            recording.names[notes.ref(tensor).number] = name
        given = tree_map(lambda x: notes.ref(x) if isinstance(x, Tensor) else x, (args, kwargs))
        recording.inputs.update(x.number for x in tree_iter(given) if isinstance(x, Ref))
        try:
            with notes:
                result = double(*args, **kwargs)
        except Exception as error:
            raise _stopped(model, error, notes) from error
        plain = tree_map(lambda x: notes.ref(x) if isinstance(x, Tensor) else x, _plain(result))
        recording.outputs.extend(x.number for x in tree_iter(plain) if isinstance(x, Ref))
    return replace(recording, given=given, result=plain)


def _stopped(model: nn.Module, error: Exception, notes: _Notes) -> RecordingError:
    where = f"in module {notes.stack[-1]!r} " if notes.stack[-1] else ""
    return RecordingError(
        f"{type(model).__name__} could not be recorded: {where}{type(error).__name__}: {str(error)[:400]}. "
        "Check that model(example) runs; what cannot be recorded can be declared by hand (nw.Group, nw.Slice)",
        notes.recording,
        notes.stack[-1],
    )


def _plain(result: Any, above: tuple[int, ...] = ()) -> Any:
    """Outputs as containers that can be walked: dataclasses and objects that hold tensors (caches) become mappings."""
    if id(result) in above:
        return None
    above = (*above, id(result))
    if isinstance(result, Mapping):
        return {key: _plain(value, above) for key, value in result.items()}
    if isinstance(result, tuple):
        return tuple(_plain(value, above) for value in result)
    if isinstance(result, list | set | frozenset | deque):
        return [_plain(value, above) for value in result]
    if isinstance(result, Tensor) or not hasattr(result, "__dict__") or isinstance(result, type | nn.Module):
        return result
    if "Cache" in type(result).__name__:
        return None  # keys and values kept for the next token: they have as many heads as the model
    return {key: _plain(value, above) for key, value in vars(result).items()}


def record(model: nn.Module, example: Example) -> Recording:
    """Write down one forward pass in evaluation mode, without memory where possible.

    Args:
        model: the model, on any device, also on ``meta``; it is left as it was.
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs. Only shapes and types count.

    Returns:
        The recording. Where tensors without memory cannot be used (a forward that asks for values), the pass is
        repeated on real ones, and ``reason`` says so.

    Raises:
        RecordingError: the model does not run on the example; the message names the module and the reason.
    """
    bare = bare_model(model)
    try:
        return _run(bare, example, fake=True)
    except RecordingError as error:
        if any(parameter.is_meta for parameter in bare.parameters()):
            raise
        recording = _run(bare, example, fake=False)
        return replace(recording, reason=f"{type(error.__cause__).__name__}: {str(error.__cause__)[:200]}")


def record_smaller(model: nn.Module, example: Example, smaller: Smaller) -> Recording:
    """Write down one forward pass of a copy that is cut on the way, in evaluation mode and without memory.

    Args:
        model: the whole model.
        example: its input.
        smaller: how the copy is cut.

    Returns:
        The recording; a `RecordingError` if the smaller copy does not run.
    """
    return _run(bare_model(model), example, fake=True, smaller=smaller)


def record_training(model: nn.Module, example: Example) -> Recording:
    """Write down one forward pass in training mode, never on real tensors, whose running statistics it would change."""
    return _run(bare_model(model), example, fake=True, training=True)
