"""How a model is called when it is written as a program: example, batch axis, plain outputs."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ..core.errors import StoreError, said
from ..core.names import bare_model

Example = Tensor | tuple[Any, ...] | list[Any] | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Call:
    """Positional and keyword inputs of one call; ``batch`` is the first axis of the first tensor."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors in the order in which programs take them."""
        return [leaf for leaf in pytree.tree_leaves((self.args, dict(self.kwargs))) if isinstance(leaf, Tensor)]

    @property
    def batch(self) -> int:
        """How many examples it holds; 0 where no tensor has a first axis."""
        return next((tensor.shape[0] for tensor in self.tensors if tensor.dim()), 0)

    def of_batch(self, size: int) -> Call:
        """The same call with another number of examples: the given ones over and over."""

        def grown(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor) or not leaf.dim() or leaf.shape[0] != self.batch:
                return leaf
            return leaf[torch.arange(size, device=leaf.device) % self.batch]

        args, kwargs = pytree.tree_map(grown, (self.args, dict(self.kwargs)))
        return Call(args, kwargs)


def call_of(example: Example) -> Call:
    """The call that an example means.

    Args:
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs.

    Returns:
        The call.

    Raises:
        StoreError: it is something else, or holds no tensor.
    """
    match example:
        case Tensor():
            call = Call((example,), {})
        case Mapping():
            call = Call((), dict(example))
        case tuple() | list():
            call = Call(tuple(example), {})
        case _:
            raise StoreError(
                f"the example is a {type(example).__name__}; give a tensor, a tuple of inputs, or a mapping of "
                "keyword inputs"
            )
    if not call.tensors:
        raise StoreError("the example holds no tensor; give inputs that the model can be called with")
    return call


def _plain(value: Any, where: str) -> Any:
    if value is None or isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(child, f"{where}[{key!r}]") for key, child in value.items() if child is not None}
    if isinstance(value, tuple | list):
        return tuple(_plain(child, f"{where}[{i}]") for i, child in enumerate(value))
    raise StoreError(
        f"the model's {where} is a {type(value).__name__}, which a program cannot return; wrap the model in a module "
        "that returns tensors (for models of transformers: `model.config.use_cache = False`)"
    )


class Plain(nn.Module):
    """A model whose outputs are tensors, tuples and dictionaries only, so that nobody needs its code to read them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

        def forward(*args: Any, **kwargs: Any) -> Any:
            return _plain(model(*args, **kwargs), "output")

        # Programs name their inputs after the signature, and their guards cannot find inputs without names.
        vars(forward)["__signature__"] = inspect.signature(model.forward)
        self.forward = forward


@contextmanager
def quiet() -> Generator[None]:
    """Without the warnings in which torch speaks of itself."""
    with warnings.catch_warnings():
        # Recurrent layers list their weights a second time; the exporter puts that list back by itself.
        listed = r"(self\.[\w.]*_flat_weights\[\d+\](, )?)+"
        message = rf"The tensor attributes? {listed} (was|were) assigned during export"
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
        # One part of torch calls another by a name that will go.
        warnings.filterwarnings("ignore", message="_check_is_size will be removed", category=FutureWarning)
        # Older torch reads a program into memory that it must not write to, and does not.
        warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
        yield


def ready(model: nn.Module, example: Example) -> tuple[nn.Module, Call]:
    """A model and a call, ready to be written as a program.

    Args:
        model: the model, in eval mode.
        example: what it is called with.

    Returns:
        The model with plain outputs (itself, if it has them already), and the call.

    Raises:
        StoreError: the model is in training mode, or does not run on the example.
    """
    model, call = bare_model(model), call_of(example)
    if model.training:
        raise StoreError(
            f"{type(model).__name__} is in training mode, where dropout and batch statistics would become a part of "
            "the program; call model.eval() first"
        )
    try:
        with torch.no_grad():
            found = model(*call.args, **call.kwargs)
    except Exception as error:
        raise StoreError(
            f"{type(model).__name__} does not run on the example ({said(error)}); give inputs that the model "
            "can be called with"
        ) from error
    leaves = [found] if isinstance(found, Tensor) else found if type(found) in {tuple, list} else [None]
    return model if all(isinstance(leaf, Tensor) for leaf in leaves) else Plain(model), call


def exported(
    model: nn.Module, example: Example, *, dynamic_batch: bool
) -> tuple[torch.export.ExportedProgram, nn.Module, Call]:
    """A model as a graph of operators.

    Args:
        model: the model, in eval mode.
        example: what it is called with.
        dynamic_batch: whether the first axis may have any length. It is the first axis of the first tensor, and of
            every other tensor that is as long there.

    Returns:
        The program; the model with plain outputs that it was made from; and the call, of at least two examples if
        ``dynamic_batch``.

    Raises:
        StoreError: the model cannot be written as a graph, or only for one batch size.
    """
    plain, call = ready(model, example)
    shapes = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
    if dynamic_batch:
        # A batch of one is taken for a constant by the exporter.
        call = call.of_batch(max(2, call.batch)) if call.batch else call
        for tensor in call.tensors:
            if tensor.dim() and tensor.shape[0] == call.batch:
                shapes[tensor] = {0: torch.export.Dim.DYNAMIC}
    try:
        with torch.no_grad(), quiet():
            args, kwargs = call.args, dict(call.kwargs)
            dynamic = shapes.dynamic_shapes(plain, args, kwargs) if dynamic_batch else None  # type: ignore[no-untyped-call]
            return torch.export.export(plain, args, kwargs, dynamic_shapes=dynamic), plain, call
    except StoreError:
        raise
    except Exception as error:
        remedy = "say dynamic_batch=False for one batch size, or " if dynamic_batch else ""
        raise StoreError(
            f"{type(bare_model(model)).__name__} cannot be written as a program ({said(error)}); {remedy}use `save`, "
            "which needs the model's code to load it again"
        ) from error
