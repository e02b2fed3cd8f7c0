"""A graph run on tensors that hold no memory, whose every shape must be the one foretold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_iter

from ..core.errors import GroupError
from .batches import Script
from .drawn import CALL, values_of
from .foretold import Foretold
from .recording import Example


def _run(made: fx.GraphModule, example: Example) -> Iterator[tuple[fx.Node, Any]]:
    """Every node of the graph with what it gives.

    Raises:
        GroupError: one of them cannot be run.
    """
    inputs, mode = values_of(example), FakeTensorMode()
    device = next(x.device for x in inputs if isinstance(x, Tensor))
    tensors = dict(made.named_parameters(remove_duplicate=False)) | dict(made.named_buffers(remove_duplicate=False))

    def stand_in(tensor: Tensor) -> Tensor:
        place = device if tensor.is_meta else tensor.device
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=place)

    values: dict[fx.Node, Any] = {}
    with torch.no_grad(), mode:
        given = iter([stand_in(x) if isinstance(x, Tensor) else x for x in inputs])
        for node in made.graph.nodes:
            if node.op == "placeholder":
                values[node] = next(given)
            elif node.op == "get_attr":
                values[node] = stand_in(tensors[str(node.target)])
            elif callable(node.target):
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                try:
                    values[node] = node.target(*args, **kwargs)
                except Exception as error:
                    raise GroupError(f"{node.target} fails: {str(error)[:300]}") from error
                yield node, values[node]


def _compare(made: fx.GraphModule, example: Example, foretold: Foretold) -> None:
    calls = foretold.walk.recording.calls
    for node, value in _run(made, example):
        if CALL not in node.meta:
            continue
        step = foretold.walk.made[node.meta[CALL]]
        # Of several results those that nothing reads may differ from device to device.
        read = {0} if isinstance(value, Tensor) else {user.args[1] for user in node.users}
        for place, (found, axes) in enumerate(zip(tree_iter(value), step.axes, strict=False)):
            wanted = None if axes is None else foretold.shape(axes)
            if place in read and isinstance(found, Tensor) and wanted is not None and tuple(found.shape) != wanted:
                raise GroupError(
                    f"{node.target} in {calls[step.place].module!r} gives {tuple(found.shape)} instead of {wanted}"
                )


def rehearse(made: fx.GraphModule, script: Script) -> None:
    """Run a graph at every batch size that its script was read from, without memory.

    Args:
        made: the graph.
        script: what it was made from.

    Raises:
        GroupError: it gives a shape that the rules did not foretell.
    """
    for example, foretold in script.passes:
        try:
            _compare(made, example, foretold)
        except GroupError as error:
            raise GroupError(
                f"no graph can be made with these sizes: {error}; leave the groups whole that this call depends on"
            ) from error
