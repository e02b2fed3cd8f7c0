"""What is written down of one forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor
from torch._ops import OpOverload

Example = Any
"""A tensor, a tuple of positional inputs, or a mapping of keyword inputs."""


@dataclass(frozen=True)
class Ref:
    """A tensor of the recording, by number."""

    number: int


def refs_in(values: Iterable[Any]) -> Iterator[Ref]:
    """The tensors among arguments and lists of arguments, in their order."""
    for value in values:
        if type(value) is Ref:
            yield value
        elif type(value) in (list, tuple):
            yield from refs_in(value)


@dataclass(frozen=True, eq=False)
class Call:
    """One operator, with a `Ref` wherever a tensor stood, and the module in whose forward it ran."""

    op: OpOverload
    args: Mapping[str, Any]
    outs: tuple[Ref | None, ...]
    module: str

    @cached_property
    def given(self) -> tuple[Ref, ...]:
        """The tensors that went in."""
        found = []
        for value in self.args.values():
            if type(value) is Ref:
                found.append(value)
            elif type(value) is list:
                found.extend(refs_in(value))
        return tuple(found)


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
