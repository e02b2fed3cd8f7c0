"""What a rule sees: one call, with the axes of the tensors that went in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch._ops import OpOverload

from ..axes import Axis, Space, fixed

Axes = tuple[Axis, ...]


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tensor that went in, by its axes."""

    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes."""
        return tuple(axis.size for axis in self.axes)

    @property
    def is_live(self) -> bool:
        """Whether anything can be removed from it."""
        return any(axis.is_live for axis in self.axes)


def _tracked(values: Iterable[Any]) -> Iterator[Tracked]:
    for value in values:
        if isinstance(value, Tracked):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tracked(value)


@dataclass(frozen=True, eq=False)
class Site:
    """One call. ``outs`` are the shapes of what came out, ``module`` names the module in whose forward it ran."""

    op: OpOverload
    args: Mapping[str, Any]
    outs: Sequence[tuple[int, ...] | None]
    space: Space
    module: str
    modules: Mapping[str, nn.Module]

    def __getitem__(self, name: str) -> Tracked:
        """The tensor of this name."""
        found = self.args[name]
        assert isinstance(found, Tracked), (self.op, name)
        return found

    def get(self, name: str) -> Tracked | None:
        """The tensor of this name, if one was given."""
        found = self.args.get(name)
        return found if isinstance(found, Tracked) else None

    def value(self, name: str, default: Any = None) -> Any:
        """An argument that is no tensor."""
        return self.args.get(name, default)

    def tensors(self) -> Iterator[Tracked]:
        """All tensors that went in."""
        return _tracked(self.args.values())

    def counter(self, attribute: str, count: int, tensor: Tracked | None) -> str | None:
        """The module in which a number of the call is written: the one that ran, or the owner of the tensor."""
        leaf = next((axis.leaf for axis in tensor.axes if axis.leaf is not None), None) if tensor is not None else None
        for name in (self.module, leaf[0].rpartition(".")[0] if leaf is not None else self.module):
            if getattr(self.modules[name], attribute, None) == count:
                return name
        return None

    def dim(self, name: str, rank: int, default: int = 0) -> int:
        """An axis number, counted from the front."""
        return int(self.args.get(name, default)) % max(rank, 1)


Rule = Callable[[Site], Sequence[Axes | None]]


def held(site: Site, why: str) -> Sequence[Axes | None]:
    """Outputs from which nothing can be removed."""
    return [None if shape is None else tuple(fixed(size, why) for size in shape) for shape in site.outs]


def freeze_all(site: Site, why: str) -> Sequence[Axes | None]:
    """Freeze everything that went in and comes out."""
    for tensor in site.tensors():
        for axis in tensor.axes:
            site.space.freeze(axis, why)
    return held(site, why)
