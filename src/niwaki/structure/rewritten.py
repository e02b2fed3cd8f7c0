"""Shrinking as a graph: where the model's own code cannot lose units, its operators with rewritten sizes can."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, fx, nn

from ..core.group import Group
from ..core.names import bare_model, plain_name
from .batches import script_of
from .cutting import positions_from, tensors_of
from .drawn import draw
from .foretold import Kept
from .recording import Example
from .rehearsal import rehearse
from .shrink import cut_tensor

FIXED = "fixed_batch"
"""Where the graph says, in its ``meta``, why its batch size is fixed; empty if it is free."""


def _owner(root: nn.Module, name: str) -> tuple[nn.Module, str]:
    *path, leaf = name.split(".")
    for part in path:
        if part not in root._modules:
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    return root, leaf


def _root(model: nn.Module, graph: fx.Graph, kept: Kept, constants: Mapping[str, Tensor]) -> nn.Module:
    """Modules that hold nothing but the tensors of the graph, under the names that they have in the model."""
    root, tensors = nn.Module(), tensors_of(model)
    for name in dict.fromkeys(str(node.target) for node in graph.nodes if node.op == "get_attr"):
        owner, leaf = _owner(root, name)
        if name in constants:
            owner.register_buffer(leaf, constants[name].detach().clone())
            continue
        axes = kept.get(name)
        found = cut_tensor(tensors[name], axes) if axes else copy.deepcopy(tensors[name])  # nothing is shared
        if isinstance(found, nn.Parameter):
            owner.register_parameter(leaf, found)
        else:
            owner.register_buffer(leaf, found)
    return root


def _passing(model: nn.Module) -> set[str]:
    """Buffers that no state dict holds."""
    return {
        plain_name(f"{path}.{name}" if path else name)
        for path, module in model.named_modules()
        for name in module._non_persistent_buffers_set
    }


@torch.no_grad()
def shrink_graph(
    model: nn.Module, groups: Sequence[Group], keep: Mapping[str, Tensor], example: Example
) -> fx.GraphModule:
    """A smaller model as a graph of operators, for models whose own code fixes sizes that no attribute controls.

    One forward pass in evaluation mode is written down, operator by operator, and every size in it is rewritten to what
    the rules foretell. The graph computes what the model in evaluation mode computes: dropout, the updates of
    batch norms and whatever else training does are not in it, also after ``train()``. Gradients flow. Python
    that looks at values is not kept; branches are those of the example, and so are all sizes but the batch's.

    The batch size stays free where the first axis of all inputs is one, and the model does the same at several sizes of
    it. Where it cannot, ``meta["fixed_batch"]`` of the graph says why, and other sizes are refused when it is called.
    Parameters and buffers have the names that they have in the model. Outputs are tuples, lists and dicts of tensors
    and numbers; dataclasses and model outputs become dicts, and caches of keys and values ``None``.

    Args:
        model: the model. It stays as it is.
        groups: its groups from `discover`, `channels` or `heads`, with ``graph=True`` also those that `shrink` refuses.
        keep: ``[size]`` booleans per group name, ``True`` = kept; groups without an entry stay whole.
        example: a tensor, a tuple of positional inputs or a mapping of keyword inputs: the graph is called likewise.

    Returns:
        The graph, a `torch.fx.GraphModule`; `nw.save_program` stores it. A `GroupError` if groups and model do not
        belong together, or if the forward depends on values of tensors.

    >>> class Flat(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.first, self.last = nn.Conv2d(1, 4, 1), nn.Linear(16, 2)
    ...
    ...     def forward(self, x):
    ...         return self.last(self.first(x).relu().view(-1, 16))
    >>> from niwaki.structure import channels
    >>> model, example = Flat(), torch.zeros(1, 1, 2, 2)
    >>> groups = channels(model, example, graph=True)
    >>> small = shrink_graph(model, groups, {"first": torch.tensor([True, False, True, False])}, example)
    >>> small.last.weight.shape, small(torch.zeros(3, 1, 2, 2)).shape
    (torch.Size([2, 8]), torch.Size([3, 2]))
    """
    bare = bare_model(model)
    kept = positions_from(bare, groups, keep)
    script = script_of(bare, example, kept)
    graph, constants = draw(bare, example, script)
    made = fx.GraphModule(_root(bare, graph, kept, constants), graph, class_name=type(bare).__name__)
    for name in sorted(_passing(bare)):
        if name in dict(made.named_buffers()):
            owner, leaf = _owner(made, name)
            owner.register_buffer(leaf, made.get_buffer(name), persistent=False)
    rehearse(made, script)
    made.meta[FIXED] = script.fixed
    return made.eval()
