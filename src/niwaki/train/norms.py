"""Running statistics of norm layers: those of the active part stand still while the network explores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..core.gates import tensor_masks
from ..core.group import Group
from ..core.names import bare_model, plain_name

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
Units = Mapping[str, Tensor]


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """The buffers in which norm layers average over batches, by qualified name (recognised by their usual names)."""
    return {
        plain_name(name): buffer
        for name, buffer in bare_model(model).named_buffers()
        if name.rpartition(".")[2] in _STATISTICS
    }


def _owners(groups: Sequence[Group], buffers: Mapping[str, Tensor]) -> list[Group]:
    """The groups with units that have statistics of their own, as groups of these alone."""
    own = [replace(g, slices=tuple(w for w in g.buffers if w.tensor in buffers), buffers=()) for g in groups]
    return [group for group in own if group.slices]


@dataclass(eq=False)
class Norms:
    """The running statistics of a model.

    A removed channel puts out zeros, so its statistics run to zero. ``memory`` holds what they were when it was last
    active: from there they go on when it comes back. ``saved`` holds those of the frozen part during an exploration;
    the statistics of explored channels, marked by ``loose``, gather. ``copy`` are the statistics of an averaged copy.
    """

    model: nn.Module
    groups: Sequence[Group]
    buffers: dict[str, Tensor] = field(init=False)
    memory: dict[str, Tensor] = field(default_factory=dict)
    saved: dict[str, Tensor] = field(default_factory=dict)
    loose: dict[str, Tensor] = field(default_factory=dict)
    copy: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.buffers = running_statistics(self.model)
        self.groups = _owners(self.groups, self.buffers)

    def begin(self, copy: nn.Module | None, *, remembers: bool, known: bool = False) -> None:
        """Remember the first statistics of all channels, and those of an averaged copy.

        Args:
            copy: an averaged copy of the model.
            remembers: whether statistics of removed channels are kept at all.
            known: what is remembered already holds.
        """
        names = {where.tensor for group in self.groups for where in group.slices}
        if not known:
            self.memory = {name: self.buffers[name].clone() for name in names} if remembers else {}
        averaged = running_statistics(copy) if copy is not None else {}
        self.copy = {name: averaged[name] for name in names if name in averaged}

    @torch.no_grad()
    def open(self, home: Units, *, freeze: bool) -> None:
        """Begin an exploration: removed channels go on from what they had when they were last active."""
        masks = tensor_masks(self.groups, home)
        for name, memory in self.memory.items():
            memory.copy_(torch.where(masks[name], self.buffers[name], memory))
            self.buffers[name].copy_(memory)
        self.saved = {name: buffer.clone() for name, buffer in self.buffers.items()} if freeze else {}
        self.loose = {name: ~mask for name, mask in masks.items()}

    @torch.no_grad()
    def hold(self) -> None:
        """After a step: write the saved statistics back, except where explored channels gather theirs."""
        for name, value in self.saved.items():
            buffer = self.buffers[name]
            buffer.copy_(torch.where(self.loose[name], buffer, value) if name in self.loose else value)

    @torch.no_grad()
    def change(self, before: Units, after: Units, *, explored: bool) -> None:
        """Put a new structure on.

        Args:
            before: the structure before.
            after: the structure now.
            explored: whether the grown channels have gathered statistics already, and keep them.
        """
        self.saved, self.loose = {}, {}
        old, new = tensor_masks(self.groups, before), tensor_masks(self.groups, after)
        for name, mask in new.items():
            born, buffer = mask & ~old[name], self.buffers[name]
            if name in self.memory:
                memory = self.memory[name]
                memory.copy_(torch.where(old[name] & ~mask, buffer, memory))
                if not explored:
                    buffer.copy_(torch.where(born, memory, buffer))
            if name in self.copy:
                copy = self.copy[name]
                copy.copy_(torch.where(born.to(copy.device), buffer.to(copy), copy))

    def load(self, saved: Mapping[str, Tensor], memory: Mapping[str, Tensor], home: Units) -> None:
        """Go on from saved values.

        Args:
            saved: the statistics of the frozen part, empty if nothing is frozen.
            memory: those that removed channels had last.
            home: the structure to deliver.
        """
        self.saved = {name: value.to(self.buffers[name].device) for name, value in saved.items()}
        self.memory |= {name: value.to(self.buffers[name].device) for name, value in memory.items()}
        self.loose = {name: ~mask for name, mask in tensor_masks(self.groups, home).items()} if saved else {}

    def held_tensors(self) -> list[Tensor]:
        """Everything kept beyond the model."""
        return [tensor for kept in (self.memory, self.saved, self.loose) for tensor in kept.values()]
