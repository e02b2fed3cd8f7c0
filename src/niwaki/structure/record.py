"""One forward pass, written down: every ATen call with its shapes, on tensors that hold no memory."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

from ..core.errors import GroupError
from ..core.names import bare_model

Example = Any
"""A tensor, a tuple of positional inputs, or a mapping of keyword inputs."""


@dataclass(frozen=True)
class Ref:
    """A tensor of the recording, by number."""

    number: int


@dataclass(frozen=True, eq=False)
class Call:
    """One operator, with a `Ref` wherever a tensor stood, and the module in whose forward it ran."""

    op: OpOverload
    args: Mapping[str, Any]
    outs: tuple[Ref | None, ...]
    module: str


@dataclass(frozen=True, eq=False)
class Recording:
    """Everything one forward pass did.

    ``names`` tells parameters and buffers (the first name of a shared one), ``storage`` which tensors share memory,
    ``constants`` the values of small tensors that the code made from numbers, ``foreign`` all tensors that are neither
    given nor made nor held by the model as parameter or buffer. ``given`` are positional and keyword inputs, ``result``
    what came out, both with a `Ref` for every tensor. ``reason`` is empty, or says why the pass needed real tensors.
    """

    calls: list[Call] = field(default_factory=list)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    storage: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    constants: dict[int, Tensor] = field(default_factory=dict)
    inputs: set[int] = field(default_factory=set)
    outputs: list[int] = field(default_factory=list)
    foreign: dict[int, Tensor] = field(default_factory=dict)
    given: Any = None
    result: Any = None
    reason: str = ""


class RecordingError(GroupError):
    """A forward pass that could not be written down to its end; ``done`` is what was, ``module`` where it stopped."""

    def __init__(self, message: str, done: Recording, module: str) -> None:
        super().__init__(message)
        self.done = done
        self.module = module


_SMALL = 64


class _Notes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what passes."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recording = recording
        self.stack = [""]
        self.seen: dict[int, tuple[Tensor, Ref]] = {}  # tensors are kept alive, so that their ids stay theirs

    def ref(self, tensor: Tensor) -> Ref:
        """The number of a tensor, a new one if it was never seen or has another shape by now."""
        known = self.seen.get(id(tensor))
        if known is None or self.recording.shapes[known[1].number] != tuple(tensor.shape):
            known = self.seen[id(tensor)] = (tensor, Ref(len(self.recording.shapes)))
            self.recording.shapes[known[1].number] = tuple(tensor.shape)
            self.recording.storage[known[1].number] = _storage(tensor)
        return known[1]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":
            return func(*args, **kwargs)
        named = {argument.name: value for argument, value in zip(func._schema.arguments, args, strict=False)}
        # Before the call: an operator that resizes its argument must not rewrite what went in.
        for tensor in (x for x in tree_iter(named | kwargs) if isinstance(x, Tensor) and id(x) not in self.seen):
            self.recording.foreign[self.ref(tensor).number] = tensor
        given = tree_map(lambda x: self.ref(x) if isinstance(x, Tensor) else x, named | kwargs)
        if func is torch.ops.aten.lift_fresh.default and args[0].numel() <= _SMALL:
            self.recording.constants[self.ref(args[0]).number] = args[0]
        result = _normed(func, named | kwargs) or func(*args, **kwargs)
        outs = tuple(self.ref(x) if isinstance(x, Tensor) else None for x in tree_iter(result))
        self.recording.calls.append(Call(func, given, outs, self.stack[-1]))
        return result


def _normed(func: Any, named: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor] | None:
    """A batch norm in evaluation mode, by its shape alone: without memory torch would take it apart, slowly."""
    tensor = named.get("input")
    if func is not torch.ops.aten.native_batch_norm.default or named["training"] or not isinstance(tensor, FakeTensor):
        return None
    return torch.empty_like(tensor), tensor.new_empty(0), tensor.new_empty(0)


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
    cuda = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
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


def _double(model: nn.Module, make: Callable[[Tensor], Tensor]) -> tuple[nn.Module, dict[int, str]]:
    """A copy with stand-ins for parameters and buffers, shared ones shared, and the first name of each stand-in.

    The copy, and not the model, keeps what a forward leaves behind: modes, counters, cached tables.

    Raises:
        GroupError: the model cannot be copied.
    """
    # Tensors that are plain attributes stay what they are: not all of them can be copied.
    plain = [x for module in model.modules() for x in vars(module).values() if isinstance(x, Tensor)]
    memo: dict[int, Any] = {id(x): x.detach() for x in plain}
    names: dict[int, str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if id(memo.get(id(tensor))) not in names:
            memo[id(tensor)] = make(tensor)
            names[id(memo[id(tensor)])] = name
    try:
        return copy.deepcopy(model, memo), names
    except (RuntimeError, TypeError) as error:
        raise GroupError(
            f"{type(model).__name__} cannot be copied ({error}); take off what cannot be copied, then find its groups"
        ) from error


def _run(model: nn.Module, example: Example, *, fake: bool, training: bool = False) -> Recording:
    recording = Recording()
    notes = _Notes(recording)
    args, kwargs = _inputs(example)
    device = next((x.device for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)), torch.device("cpu"))

    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def stand_in(tensor: Tensor) -> Tensor:
        if not fake:  # a forward may write on what it is given; on parameters it does not
            return tensor.detach() if isinstance(tensor, nn.Parameter) else tensor.detach().clone()
        hollow = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
        return FakeTensor(mode, hollow, device if tensor.is_meta else tensor.device)

    with ExitStack() as stack:
        stack.enter_context(_undisturbed(model))
        args, kwargs = tree_map(lambda x: stand_in(x) if isinstance(x, Tensor) else x, (args, kwargs))
        double, names = _double(model, stand_in)
        stack.enter_context(mode if fake else nullcontext())
        double.train(training)
        stack.enter_context(_places(double, notes))
        for tensor in [*double.parameters(), *double.buffers()]:
            recording.names[notes.ref(tensor).number] = names[id(tensor)]
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


def record_training(model: nn.Module, example: Example) -> Recording:
    """Write down one forward pass in training mode, never on real tensors, whose running statistics it would change."""
    return _run(bare_model(model), example, fake=True, training=True)
