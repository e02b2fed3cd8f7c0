"""Rows of the table of networks: a network, its input, and the groups that a person finds in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from niwaki.core import Groups


class Net(nn.Module):
    """Parts, and a function that says how they are used."""

    def __init__(self, run: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self, *args, **kwargs)


@dataclass(frozen=True)
class Row:
    """A network with what a person finds in it.

    ``groups`` gives for each group its kind, its size and where its units lie, ``"fc.weight/0"``; ``"fc.weight/1*9"``
    says that each unit has nine positions there. ``frozen`` holds parts of the reasons for tensors that are left out.
    """

    make: Callable[[], nn.Module]
    shape: Any
    groups: Mapping[str, tuple[str, int, str]]
    frozen: Mapping[str, str] = field(default_factory=dict)
    inexact: bool = False


def param(*shape: int) -> nn.Parameter:
    """A bare parameter of small random numbers."""
    return nn.Parameter(torch.randn(shape) / 2)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """In double precision, with biases, scales and running statistics that are neither zero nor one."""
    generator = torch.Generator().manual_seed(seed)
    model = model.eval()
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() < 2 or not tensor.any():
                tensor.add_(torch.rand(tensor.shape, generator=generator) + 0.3)
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.mul_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return model.double()


def example_of(shape: Any, seed: int = 0) -> Any:
    """Random tensors for shapes; what is no shape stays."""
    generator = torch.Generator().manual_seed(seed)

    def fill(x: Any) -> Any:
        return torch.randn(x, generator=generator, dtype=torch.float64) if isinstance(x, torch.Size) else x

    if isinstance(shape, tuple) and all(type(x) is int for x in shape):
        return fill(torch.Size(shape))
    return tree_map(fill, shape, is_leaf=lambda x: isinstance(x, torch.Size))


def run(model: nn.Module, example: Any) -> list[Tensor]:
    """The numbers that a model gives."""
    with torch.no_grad():
        if isinstance(example, Mapping):
            made = model(**example)
        else:
            made = model(*example) if isinstance(example, tuple) else model(example)
    found = vars(made) if hasattr(made, "__dataclass_fields__") else made
    return [x for x in tree_leaves(found) if isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())]


def random_keep(groups: Groups, seed: int) -> dict[str, Tensor]:
    """Any number of units of each group, at any place; as few as may be for the seed zero."""
    generator = torch.Generator().manual_seed(seed)
    keep = {}
    for group in groups:
        count = int(torch.randint(group.min_keep, group.size + 1, (), generator=generator)) if seed else group.min_keep
        keep[group.name] = torch.zeros(group.size, dtype=torch.bool)
        keep[group.name][torch.randperm(group.size, generator=generator)[:count]] = True
    return keep


def zeroed(model: nn.Module, groups: Groups, keep: Mapping[str, Tensor]) -> nn.Module:
    """A copy in which the slices of removed units are set to zero by hand, and nothing else."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        for group in groups:
            for where in group.slices:
                gone = where.index[~keep[group.name]].flatten()
                other.get_parameter(where.tensor).index_fill_(where.dim, gone, 0)
    return other


def wanted_shapes(model: nn.Module, groups: Groups, keep: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor, counted position by position."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    gone: dict[tuple[str, int], set[int]] = {}
    for group in groups:
        for where in (*group.slices, *group.buffers):
            for unit in (~keep[group.name]).nonzero().flatten().tolist():
                gone.setdefault((where.tensor, where.dim), set()).update(where.index[unit].tolist())
    return {
        name: tuple(size - len(gone.get((name, dim), ())) for dim, size in enumerate(tensor.shape))
        for name, tensor in tensors.items()
    }


def described(groups: Groups) -> dict[str, tuple[str, int, str]]:
    """Groups in the words of a `Row`."""
    found = {}
    for group in groups:
        words = [
            f"{where.tensor}/{where.dim}" + (f"*{where.index.shape[1]}" if where.index.shape[1] > 1 else "")
            for where in (*group.slices, *group.buffers)
        ]
        found[group.name] = (group.kind, group.size, " ".join(sorted(words)))
    return found
