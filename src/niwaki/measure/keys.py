"""Keys: what makes two operators take the same time, written so that people and other machines can read it."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_lowercase
from typing import Any

from torch._ops import OpOverload

from .tape import Held
from .variables import Varied


def _tensor(held: Held, places: Any, it: Varied) -> str:
    lengths = []
    for size, place in zip(held.shape, places, strict=True):
        if place is None:
            lengths.append(str(size))
        else:
            times = f"{place[1]}*" if place[1] > 1 else "~" if not place[1] else ""
            lengths.append(f"{times}{ascii_lowercase[place[0]]}")
    order = "" if held.order == tuple(range(len(held.order))) else "@" + "".join(map(str, held.order))
    return f"{str(held.dtype).removeprefix('torch.')}[{','.join(lengths)}]{order}"


def _written(x: Any, tensors: Iterator[str]) -> str:
    if isinstance(x, Held):
        return next(tensors)
    if isinstance(x, list | tuple):
        return "[" + ",".join(_written(y, tensors) for y in x) + "]"
    return repr(x)


def key_of(it: Varied) -> str:
    """The operator with its arguments; a letter for every length that may vary, whose full lengths stand at the end.

    ``conv2d(float32[1,a,56,56], float32[b,a,3,3], None, [1,1], [1,1]) a=64 b=128`` is a convolution of an image of
    56 x 56. ``2*a`` is twice the length, ``~a`` one that shrinks in proportion; ``@0231`` is the order in memory.
    """
    operation = it.operation
    tensors = iter(
        [_tensor(held, places, it) for held, places in zip(operation.held, it.places, strict=True)],
    )
    args = [_written(x, tensors) for x in operation.args]
    args += [f"{name}={_written(x, tensors)}" for name, x in operation.kwargs.items()]
    sizes = "".join(f" {ascii_lowercase[i]}={v.size}" for i, v in enumerate(it.variables))
    name = operation.op._schema.name.partition("::")[2] if isinstance(operation.op, OpOverload) else operation.kind
    return f"{name}({', '.join(args)}){sizes}"
