"""A script drawn as a graph of operators, with the tensors it needs."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_iter, tree_map

from ..core.errors import GroupError
from ..core.names import plain_name
from .batches import Line, Script
from .literals import Written
from .recording import Example, Recording, Ref

CALL = "niwaki_call"
"""Where a node keeps the place of its call among those that the script needs."""


def check_size(tensor: Tensor, size: int, name: str, why: str) -> None:
    """Refuse an input whose first axis has not the one size that a graph was made for.

    Args:
        tensor: the input.
        size: the size.
        name: how the input is called.
        why: why other sizes are not possible.

    Raises:
        GroupError: it has another.
    """
    if tensor.dim() and tensor.shape[0] != size:
        raise GroupError(
            f"the first axis of {name!r} must be {size} long, as in the example that this graph was made with, not "
            f"{tensor.shape[0]}, because {why}; make another graph with an example of that size (nw.shrink_graph)"
        )


def check_value(value: object, wanted: object, name: str) -> None:
    """Refuse an input that is no tensor and has another value than when the graph was made.

    Args:
        value: the input.
        wanted: the value in the example.
        name: how the input is called.

    Raises:
        GroupError: it has another.
    """
    if value != wanted:
        raise GroupError(
            f"{name!r} must be {wanted!r}, as in the example that this graph was made with, not {value!r}; make "
            "another graph with an example that has it (nw.shrink_graph)"
        )


@dataclass(eq=False)
class _Drawing:
    graph: fx.Graph = field(default_factory=fx.Graph)
    nodes: dict[int, fx.Node] = field(default_factory=dict)
    lines: dict[Line, fx.Node] = field(default_factory=dict)
    first: fx.Node | None = None
    device: torch.device | None = None
    device_node: fx.Node | None = None

    def line(self, line: Line) -> fx.Node:
        """The node of a number that follows the batch."""
        if line not in self.lines:
            if line == Line(1, 0):
                made = self.graph.call_function(torch.ops.aten.sym_size.int, (self.first, 0))
            elif line.offset:
                made = self.graph.call_function(operator.add, (self.line(Line(line.slope, 0)), line.offset))
            else:
                made = self.graph.call_function(operator.mul, (self.line(Line(1, 0)), line.slope))
            self.lines[line] = made
        return self.lines[line]

    def value(self, value: Any) -> Any:
        """What stands in the graph for a value of a script."""
        if isinstance(value, Ref):
            return self.nodes[value.number]
        if isinstance(value, Line):
            return self.line(value)
        if isinstance(value, torch.device) and value == self.device:
            if self.device_node is None:
                self.device_node = self.graph.call_function(getattr, (self.first, "device"))
            return self.device_node
        return value


def values_of(example: Example) -> list[Any]:
    """The inputs of an example, one after the other.

    Args:
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs.

    Returns:
        The inputs.
    """
    if isinstance(example, Tensor):
        return [example]
    return list(example.values()) if isinstance(example, Mapping) else list(example)


def _names(model: nn.Module, count: int) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [name for name, p in inspect.signature(model.forward).parameters.items() if p.kind in kinds]
    return [known[place] if place < len(known) else f"input_{place}" for place in range(count)]


def _place_inputs(drawing: _Drawing, model: nn.Module, example: Example, script: Script) -> None:
    recording = script.passes[0][1].walk.recording
    args, kwargs = recording.given
    given = dict(zip(_names(model, len(args)), args, strict=True)) | kwargs
    nodes = [drawing.graph.placeholder(name) for name in given]
    for node, (name, ref), value in zip(nodes, given.items(), values_of(example), strict=True):
        if isinstance(ref, Ref):
            drawing.nodes[ref.number] = node
            drawing.first = drawing.first or node
            drawing.device = drawing.device or value.device
            if script.fixed and value.dim():
                drawing.graph.call_function(check_size, (node, value.shape[0], name, script.fixed))
        elif any(isinstance(x, Ref) for x in tree_iter(ref)):
            raise GroupError(
                f"the input {name!r} is a {type(value).__name__} that holds tensors; a graph takes tensors themselves"
            )
        else:
            drawing.graph.call_function(check_value, (node, value, name))


def _place_tensors(drawing: _Drawing, recording: Recording, needed: set[int]) -> dict[str, int]:
    """Nodes for parameters, buffers and constants; the constants, by the name they get."""
    constants: dict[str, int] = {}
    for number in sorted(needed):
        if number in recording.names:
            drawing.nodes[number] = drawing.graph.get_attr(plain_name(recording.names[number]))
        elif number in recording.foreign:
            name = f"constant_{len(constants)}"
            constants[name] = number
            drawing.nodes[number] = drawing.graph.get_attr(name)
    return constants


def _arguments(call: Written, drawing: _Drawing) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional arguments as far as they go, the others by name."""
    given, positional = dict(call.args), []
    if call.op is torch.ops.aten.reshape.default:
        free = [place for place, size in enumerate(given["shape"]) if isinstance(size, Line)]
        if len(free) == 1:
            given["shape"] = [-1 if place in free else size for place, size in enumerate(given["shape"])]
    given = tree_map(drawing.value, given)
    for argument in call.op._schema.arguments:
        if argument.kwarg_only or argument.name not in given:
            break
        positional.append(given.pop(argument.name))
    return tuple(positional), given


def _place_call(drawing: _Drawing, call: Written, outs: Sequence[Ref | None], place_of: int) -> None:
    args, kwargs = _arguments(call, drawing)
    node = drawing.graph.call_function(call.op, args, kwargs)
    node.meta[CALL] = place_of
    returns = call.op._schema.returns
    lone = len(returns) == 1 and "List" not in str(returns[0].type) and "[]" not in str(returns[0].type)
    for place, ref in enumerate(outs):
        if ref is None or (call.alone and place):
            continue
        drawing.nodes[ref.number] = node if lone else drawing.graph.call_function(operator.getitem, (node, place))


def draw(model: nn.Module, example: Example, script: Script) -> tuple[fx.Graph, dict[str, Tensor]]:
    """A graph that does what a script says.

    Args:
        model: the model that the script was read from, without wrappers.
        example: the example input.
        script: the calls.

    Returns:
        The graph, and constants of the code by the name under which the graph reads them.
    """
    drawing, walk = _Drawing(), script.passes[0][1].walk
    recording = walk.recording
    refs = [x for call in script.calls for x in tree_iter(dict(call.args)) if isinstance(x, Ref)]
    refs += [x for x in tree_iter(script.result) if isinstance(x, Ref)]
    _place_inputs(drawing, model, example, script)
    constants = _place_tensors(drawing, recording, {ref.number for ref in refs})
    for place, (made, call) in enumerate(zip(walk.made, script.calls, strict=True)):
        _place_call(drawing, call, recording.calls[made.place].outs, place)
    drawing.graph.output(tree_map(lambda x: drawing.value(_told(x)), script.result))
    for node in reversed(drawing.graph.nodes):
        if node.target is operator.getitem and not node.users:
            drawing.graph.erase_node(node)
    drawing.graph.lint()
    return drawing.graph, {name: recording.foreign[number] for name, number in constants.items()}


def _told(value: object) -> object:
    """What an output may hold beside tensors: numbers and words."""
    return value if isinstance(value, Ref | Line | bool | int | float | str | None) else None
