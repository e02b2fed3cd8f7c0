"""One forward pass, written down: every ATen call with its shapes, on tensors that hold no memory."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_iter, tree_map

from ..core.errors import GroupError, said
from ..core.names import bare_model, plain_name
from .fake import Hollows
from .hollow import hollow
from .notes import Notes, places
from .recording import Example, Recording, Ref


class RecordingError(GroupError):
    """A forward pass that could not be written down to its end; ``done`` is what was, ``module`` where it stopped."""

    def __init__(self, message: str, done: Recording, module: str) -> None:
        super().__init__(message)
        self.done = done
        self.module = module


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


def _set_mode(modules: Mapping[str, nn.Module], training: bool) -> None:
    """As ``train(training)`` does, without asking each module for leave where none has its own way."""
    if any(type(module).train is not nn.Module.train or "train" in vars(module) for module in modules.values()):
        modules[""].train(training)
        return
    for module in modules.values():
        if "training" in vars(module):
            vars(module)["training"] = training
        else:
            module.training = training


def _run(model: nn.Module, example: Example, *, fake: bool, training: bool = False,
         smaller: Smaller | None = None) -> Recording:  # fmt: skip
    recording, hollows = Recording(), Hollows() if fake else None
    notes = Notes(recording, hollows)
    with ExitStack() as stack:
        stack.enter_context(_undisturbed(model))
        args, kwargs, double, held = _copy(model, example, smaller, hollows)
        modules = dict(double.named_modules())
        _set_mode(modules, training)
        stack.enter_context(places(modules, notes))
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


def _stopped(model: nn.Module, error: Exception, notes: Notes) -> RecordingError:
    where = f"in module {notes.stack[-1]!r} " if notes.stack[-1] else ""
    return RecordingError(
        f"{type(model).__name__} could not be recorded: {where}{said(error)}. "
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
