"""One forward pass as a list of operators, each with the shapes it saw and what these shapes hang on."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..core.errors import TrainError, said
from ..core.names import parameters_of
from .flops import unfused
from .twin import twin
from .widths import Forms, followed, forms_of, own


@dataclass(frozen=True)
class Held:
    """A tensor that an operator took or made.

    Args:
        shape: its lengths.
        dtype: its type.
        order: its dimensions from the slowest in memory to the fastest.
        name: the parameter or buffer it is; empty for an activation.
        forms: per dimension, what its length hangs on.
        number: of the tensor, to tell which operator made it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    order: tuple[int, ...]
    name: str = ""
    forms: tuple[Forms, ...] = ()
    number: int = field(default=-1, compare=False)


@dataclass(frozen=True, eq=False)
class Operation:
    """One call of an operator: its name for people, the operator, and a `Held` for every tensor."""

    name: str
    op: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outs: tuple[Held, ...]

    @property
    def kind(self) -> str:
        """The operator's name, without namespace, overload and the underscore of those that write in place."""
        return kind_of(self.op)

    @property
    def held(self) -> tuple[Held, ...]:
        """The tensors it takes, in order."""
        return tuple(x for x in tree_leaves((self.args, dict(self.kwargs))) if isinstance(x, Held))


def kind_of(op: Any) -> str:
    """The bare name of an operator."""
    return str(getattr(op, "_overloadpacket", op)).rpartition(".")[2].removesuffix("_")


# Composite operators that are timed as one; others are taken apart.
_WHOLE = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear batch_norm layer_norm group_norm "
    "instance_norm rms_norm max_pool1d max_pool2d max_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d softmax log_softmax matmul scaled_dot_product_attention lstm gru embedding pad".split()
)
# Those among whose arguments are the weights of a layer.
WEIGHED = frozenset(
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear batch_norm layer_norm group_norm "
    "instance_norm rms_norm embedding mm bmm addmm baddbmm matmul".split()
)
# Nothing is computed by these.
_FREE = frozenset("dropout detach alias feature_dropout alpha_dropout".split())


def _order(tensor: Tensor) -> tuple[int, ...]:
    if tensor.layout != torch.strided:
        return tuple(range(tensor.dim()))
    # A dimension of one has any stride: it stays where it stands.
    strides, shape = list(tensor.stride()), tensor.shape
    for d in range(tensor.dim() - 1, -1, -1):
        if shape[d] == 1:
            strides[d] = strides[d + 1] * shape[d + 1] if d + 1 < tensor.dim() else 1
    return tuple(sorted(range(tensor.dim()), key=lambda d: (-strides[d], d)))


def _without_tables(kind: str, noted: Any) -> Any:
    """A parameter added to an activation (a table of positions) follows its widths; its other axes are no widths."""
    held = [x for x in tree_leaves(noted) if isinstance(x, Held)]
    if kind in WEIGHED or not any(x.forms and any(x.forms) for x in held if not x.name):
        return noted
    return tree_map(lambda x: replace(x, forms=((),) * len(x.shape)) if isinstance(x, Held) and x.name else x, noted)


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what costs time; follows widths through the rest."""

    supports_higher_order_operators = True

    def __init__(self, names: Mapping[int, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = names
        self.operations: list[Operation] = []
        self.stack = [""]
        self._count = 0

    def _held(self, tensor: Tensor) -> Held:
        name = self.names.get(id(tensor), "")
        if name:
            forms = tuple(own(name, d) for d in range(tensor.dim()))
        else:
            forms = forms_of(tensor)
        number = getattr(tensor, "_niwaki_number", -1)
        return Held(tuple(tensor.shape), tensor.dtype, _order(tensor), name, forms, number)

    def _follow(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], given: Sequence[Held], out: Any
    ) -> None:
        plain = [*args, *kwargs.values()]
        for made in tree_leaves(out):
            if isinstance(made, Tensor) and id(made) not in self.names:
                shapes, forms = [h.shape for h in given], [h.forms for h in given]
                vars(made)["_niwaki_widths"] = followed(kind_of(func), plain, shapes, forms, tuple(made.shape))
                self._count += 1
                vars(made)["_niwaki_number"] = self._count

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator, note it, and what its outcome hangs on."""
        kwargs = kwargs or {}
        kind = kind_of(func)
        if kind not in _WHOLE | _FREE and func.namespace == "aten" and func._can_decompose():
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        noted = tree_map(lambda x: self._held(x) if isinstance(x, Tensor) else x, (tuple(args), dict(kwargs)))
        noted = _without_tables(kind, noted)
        given = [x for x in tree_leaves(noted) if isinstance(x, Held)]
        memory = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if _has_memory(x)}
        out = func(*args, **kwargs)
        self._follow(func, args, kwargs, given, out)
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        views = all(_has_memory(x) and x.untyped_storage()._cdata in memory for x in made)
        if kind not in _FREE and (func._schema.is_mutable or not views):
            outs = tuple(self._held(x) for x in made)
            self.operations.append(Operation(self._name(kind, given), func, noted[0], noted[1], outs))
        return out

    def _name(self, kind: str, given: Sequence[Held]) -> str:
        weight = next((held.name for held in given if held.name), "")
        if weight:
            return weight.rpartition(".")[0] or weight
        return f"{self.stack[-1]} {kind}".strip()


def _has_memory(x: Any) -> bool:
    return isinstance(x, Tensor) and x.layout == torch.strided


@contextmanager
def _places(model: nn.Module, tape: _Tape) -> Generator[None]:
    """Keep the name of the module whose forward runs on top of the stack."""
    names = {id(module): name for name, module in model.named_modules()}
    handles = [
        register_module_forward_pre_hook(lambda m, _: tape.stack.append(names.get(id(m), tape.stack[-1]))),
        register_module_forward_hook(lambda m, _, __: _pop(tape.stack), always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pop(stack: list[str]) -> None:
    stack.pop()


def _once(operations: Sequence[Operation]) -> Iterator[Operation]:
    """The same with names of their own: what runs again under a name gets a number."""
    seen: dict[str, int] = {}
    for it in operations:
        seen[it.name] = seen.get(it.name, 0) + 1
        name = it.name if seen[it.name] == 1 else f"{it.name} #{seen[it.name]}"
        yield Operation(name, it.op, it.args, it.kwargs, it.outs)


def split_example(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """An example as positional and keyword arguments: a tensor, a tuple or list of inputs, or a mapping."""
    if isinstance(example, Mapping):
        return (), dict(example)
    return (tuple(example), {}) if isinstance(example, tuple | list) else ((example,), {})


def tape_of(model: nn.Module, example: Any) -> tuple[Operation, ...]:
    """Write down what one forward pass in evaluation mode computes.

    The pass runs on copies of all but the parameters, so that it leaves no trace.

    Args:
        model: the model, possibly wrapped.
        example: a tensor, a tuple of inputs, or a mapping of keyword inputs, on the model's device.

    Returns:
        The operators that cost time, in order, each under a name of its own.

    Raises:
        TrainError: the model does not run on the example.
    """
    args, kwargs = split_example(example)
    copy, same = twin(model, lambda t: t if isinstance(t, nn.Parameter) else t.detach().clone())
    copy.eval()
    args, kwargs = tree_map(lambda leaf: same(leaf) if isinstance(leaf, Tensor) else leaf, (args, kwargs))
    tensors = {**dict(copy.named_buffers()), **parameters_of(copy)}
    tape = _Tape({id(tensor): name for name, tensor in tensors.items()})
    cuda = {t.device.index for t in tensors.values() if t.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(cuda)), torch.inference_mode(), unfused(), _places(copy, tape):
        try:
            with tape:
                copy(*args, **kwargs)
        except Exception as error:  # whatever a forward pass may raise
            raise TrainError(
                f"{type(model).__name__} could not be run once to see what it computes: {said(error)}; "
                "give as example what its forward takes, on its device"
            ) from error
    return tuple(_once(tape.operations))
