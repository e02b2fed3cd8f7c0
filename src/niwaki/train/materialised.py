"""The training model really smaller, and whole again: its own tensors and its optimizer's, in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.cut import Cut, cut_of, mark_cut
from ..core.errors import TrainError
from ..core.group import Group
from ..core.names import bare_model
from ..structure.cutting import cut_from, owner_of, tensors_of
from ..structure.shrink import set_sizes
from ..structure.surgery import sliced

Axes = Mapping[int, Tensor]


def put(whole: Tensor, small: Tensor, axes: Axes) -> None:
    """Write a cut tensor back to the positions it was cut from.

    Args:
        whole: changed in place.
        small: as long along each cut axis as there are positions.
        axes: the positions by axis.
    """
    if not axes:
        whole.copy_(small)
        return
    axis, rest = min(axes), {other: index for other, index in axes.items() if other != min(axes)}
    index = axes[axis].to(whole.device)
    part = small
    if rest:
        part = whole.index_select(axis, index)
        put(part, small, rest)
    whole.index_copy_(axis, index, part)


def _renew(tensor: Tensor, data: Tensor) -> None:
    """Give a tensor other data, of another shape, and stay the same object.

    Autograd keeps what accumulates a parameter's gradient, with its shape, for as long as anyone holds a graph, such as
    the loss of the last step. It lets go of it when the type changes, so the way leads over another one.
    """
    if isinstance(tensor, nn.Parameter) and tensor.requires_grad:
        other = torch.float16 if tensor.dtype == torch.float32 else torch.float32
        tensor.grad = None
        tensor.data = torch.empty(0, dtype=other, device=tensor.device)
    tensor.data = data


def _cut_along(key: str, value: Any, shape: Sequence[int], axes: Axes) -> Axes | None:
    """The axes along which an entry of the optimizer's state is cut like its parameter, ``None`` if it is not.

    Raises:
        TrainError: nobody knows.
    """
    if isinstance(value, Tensor):
        if value.dim() == len(shape) and all(n in {1, size} for n, size in zip(value.shape, shape, strict=True)):
            found = {axis: index for axis, index in axes.items() if value.shape[axis] == shape[axis]}
            return found or None
        if value.numel() == 1:
            return None
    elif not isinstance(value, list | tuple | dict) or not value:
        return None
    raise TrainError(
        f"the optimizer keeps {key!r} for a parameter of shape {tuple(shape)} in a form that cannot be cut along with "
        "it; train without materialise=True"
    )


@dataclass(eq=False)
class Materialised:
    """A model that is cut to the kept units for a while.

    All objects stay the same: modules, parameters, buffers, the optimizer and its groups; hooks stay where they hang.
    ``kept`` gives the positions that the present tensors hold, by name and axis; it is empty while the model is whole.
    ``uncut`` is the structure that was found to leave the model whole, if the last one did. While the model is smaller,
    it is marked with its cut, so that it can be saved.
    """

    model: nn.Module
    groups: Sequence[Group]
    kept: Mapping[str, Axes] = field(default_factory=dict)
    uncut: Mapping[str, Tensor] | None = None
    _history: Cut = field(default_factory=Cut)
    _whole: dict[str, Tensor] = field(default_factory=dict)
    _state: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    _sizes: dict[str, Any] = field(default_factory=dict)
    _is_new: bool = False

    def check(self) -> None:
        """Check that the groups can be cut at all, before anything is trained.

        Raises:
            TrainError: one cannot. A `GroupError` if it is no whole rows and columns.
        """
        for group in self.groups:
            if not group.exact or group.needs_graph:
                why = "a norm runs over its units" if not group.exact else "the model's own code fixes its size"
                raise TrainError(
                    f"materialise=True cannot cut group {group.name!r}: {why}, so the smaller model would not compute "
                    "what the masked one does; leave materialise out, or the group"
                )
        cut = cut_from(bare_model(self.model), self.groups, {g.name: _most(g) for g in self.groups})
        for name in cut.kept:
            module = owner_of(self.model, name.rpartition(".")[0].removesuffix(".out_proj"))
            if isinstance(module, nn.MultiheadAttention):
                raise TrainError(f"materialise=True cannot cut {name!r} of an nn.MultiheadAttention; leave it out")

    def check_state(self, optimizer: Optimizer, kept: Mapping[str, Axes]) -> None:
        """Check that the optimizer's state can be cut along with its parameters; a `TrainError` if it cannot.

        Args:
            optimizer: holds the model's parameters.
            kept: positions by name and axis.
        """
        tensors = tensors_of(self.model)
        for name, axes in kept.items():
            for key, value in optimizer.state.get(tensors[name], {}).items():
                _cut_along(key, value, tensors[name].shape, axes)

    def check_new_state(self, optimizer: Optimizer) -> None:
        """The same of what the optimizer made in its first step after a cut: not only when the model is widened."""
        if self._is_new:
            self.check_state(optimizer, self.kept)
            self._is_new = False

    @torch.no_grad()
    def narrow(self, optimizer: Optimizer, keep: Mapping[str, Tensor]) -> None:
        """Cut the model and the optimizer's state. Groups whose count their grid does not allow stay masked.

        Args:
            optimizer: holds the model's parameters.
            keep: booleans per group name.
        """
        fits = {g.name: keep[g.name] for g in self.groups if _fits(g, int(keep[g.name].count_nonzero()))}
        cut = cut_from(bare_model(self.model), self.groups, fits)
        if not cut.kept:
            self.uncut = keep
            return
        tensors, history = tensors_of(self.model), cut_of(self.model)
        self.check_state(optimizer, cut.kept)  # before anything changes
        for name, axes in cut.kept.items():
            tensor = tensors[name]
            self._whole[name] = tensor.data
            for key, value in optimizer.state.get(tensor, {}).items():
                along = _cut_along(key, value, tensor.shape, axes)
                if along is not None:
                    self._state[name, key] = value
                    optimizer.state[tensor][key] = sliced(value, along)
            gradient = None if tensor.grad is None else sliced(tensor.grad, axes)
            _renew(tensor, sliced(tensor, axes))
            tensor.grad = gradient
        self._sizes = {key: _value(self.model, key) for key in cut.sizes}
        self.kept, self.uncut, self._is_new, self._history = cut.kept, None, True, history
        set_sizes(bare_model(self.model), cut)
        mark_cut(self.model, history.then(cut))

    @torch.no_grad()
    def widen(self, optimizer: Optimizer) -> None:
        """Make the model whole again, with what has been learned; removed units are as they were when it was cut."""
        tensors = tensors_of(self.model)
        for name, axes in self.kept.items():
            tensor, whole = tensors[name], self._whole[name]
            for key, value in optimizer.state.get(tensor, {}).items():
                before = self._state.get((name, key))
                shape = tensor.shape if before is None else whole.shape
                along = _cut_along(key, value if before is None else before, shape, axes)
                if along is not None:
                    before = _zeros(value, whole, along) if before is None else before
                    put(before, value, along)
                    optimizer.state[tensor][key] = before
            put(whole, tensor.data, axes)
            gradient = None if tensor.grad is None else self.spread(name, tensor.grad)
            _renew(tensor, whole)
            tensor.grad = gradient
        sizes, self.kept, self._whole, self._state, self._sizes = self._sizes, {}, {}, {}, {}
        set_sizes(bare_model(self.model), Cut(sizes=sizes))
        mark_cut(self.model, self._history)

    def spread(self, name: str, tensor: Tensor) -> Tensor:
        """A cut tensor, such as a weight or its gradient, laid over the shape of the whole one, with zeros between."""
        if name not in self.kept:
            return tensor
        found = torch.zeros_like(self._whole[name], dtype=tensor.dtype)
        put(found, tensor, self.kept[name])
        return found

    def cut(self, name: str, tensor: Tensor) -> Tensor:
        """Of a tensor of the whole shape what the cut tensor holds."""
        return sliced(tensor, self.kept[name]) if name in self.kept else tensor

    def held_tensors(self) -> list[Tensor]:
        """Everything kept beyond the model and its optimizer."""
        return [*self._whole.values(), *self._state.values()]


def _zeros(value: Tensor, whole: Tensor, along: Axes) -> Tensor:
    # For state that the optimizer made while the model was small.
    shape = [whole.shape[axis] if axis in along else size for axis, size in enumerate(value.shape)]
    return torch.zeros_like(whole, dtype=value.dtype) if shape == list(whole.shape) else value.new_zeros(shape)


def _fits(group: Group, count: int) -> bool:
    return count >= max(1, min(group.min_keep, group.size)) and (count % group.multiple_of == 0 or count == group.size)


def _most(group: Group) -> Tensor:
    keep = torch.ones(group.size, dtype=torch.bool)
    if _fits(group, group.size - group.multiple_of):
        keep[: group.multiple_of] = False
    return keep


def _value(model: nn.Module, key: str) -> Any:
    path, _, attribute = key.rpartition(".")
    return getattr(owner_of(model, path), attribute)
