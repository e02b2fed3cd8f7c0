"""The weights under a sparsifier: their masks, their memory, and what happens to them when gates change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.errors import TrainError
from ..core.gates import GateMap, as_factor, tensor_masks
from ..core.group import Group
from ..structure.surgery import sliced
from .materialised import Materialised
from .surgery import State, clear_state, put_away, take_back
from .values import Values, first_memory, leave, revive, settle, wake


@dataclass(eq=False)
class Body:
    """Tensors by name, the masks laid over them, and the values remembered for them.

    ``acts`` and ``learns`` are the masks of the two gates, ``home`` of the structure to deliver; ``held`` is the
    optimizer state of the active weights while they stand still, ``copy`` an averaged copy's tensors, ``partial``
    names the tensors in which something does not act, ``hidden`` masks the straight-through weights, whose values lie
    in ``memory``, and ``version`` counts the changes of masks. ``beside`` holds tensors that are never masked, but that
    criteria read about the units. ``begun`` has the versions of the tensors when the first structure was put on,
    and ``first`` its masks, until the first step.
    """

    groups: Sequence[Group]
    tensors: Mapping[str, nn.Parameter]
    values: Values
    acts: dict[str, Tensor] = field(default_factory=dict)
    learns: dict[str, Tensor] = field(default_factory=dict)
    home: dict[str, Tensor] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)
    held: dict[str, State] | None = None
    copy: Mapping[str, Tensor] = field(default_factory=dict)
    partial: list[str] = field(default_factory=list)
    hidden: dict[str, Tensor] = field(default_factory=dict)
    version: int = 0
    beside: Mapping[str, nn.Parameter] = field(default_factory=dict)
    cross_slices: bool = True
    laid: dict[str, Tensor] = field(default_factory=dict)
    small: Materialised | None = None
    begun: dict[str, int] = field(default_factory=dict)
    begun_copy: dict[str, int] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)

    def lay(self, gates: GateMap, home: Mapping[str, Tensor], *, frozen: bool = False) -> None:
        """Compute the masks of all tensors from the gates of all units.

        Args:
            gates: of every group.
            home: the structure to deliver.
            frozen: whether what is active stands still, and with it what belongs to no unit. A weight of two units then
                learns if either of them does (with ``cross_slices``), since what a reactivated channel puts out must
                be learned to be used; else only if both do.
        """
        self.version += 1
        self.home = tensor_masks(self.groups, home)
        if all(gate.forward is home[name] and gate.train is home[name] for name, gate in gates.items()):
            self.acts = self.learns = self.home
        else:
            self.acts = tensor_masks(self.groups, {name: gate.forward for name, gate in gates.items()})
            learns = {name: gate.train for name, gate in gates.items()}
            if frozen and self.cross_slices:
                still = tensor_masks(self.groups, {name: ~train for name, train in learns.items()})
                self.learns = {name: ~mask for name, mask in still.items()}
            else:
                self.learns = tensor_masks(self.groups, learns)
                if frozen:
                    self.learns = {name: mask & ~self.home[name] for name, mask in self.learns.items()}
        self.refit()
        through = {name: self.learns[name] & ~self.acts[name] for name in self.partial if self.learns is not self.acts}
        self.hidden = {name: mask for name, mask in through.items() if bool(mask.any())}

    def refit(self) -> None:
        """Take the masks of what acts to the shapes that the tensors have now."""
        cut = self.small.kept if self.small is not None else {}
        self.laid = {n: sliced(mask, cut[n]) for n, mask in self.acts.items() if n in cut} if cut else {}
        self.laid = {**self.acts, **self.laid}
        self.partial = [name for name, mask in self.laid.items() if not bool(mask.all())]

    def learning(self, name: str) -> Tensor:
        """The mask of what learns of a tensor, in the shape that it has now."""
        return self.laid[name] if self.small is not None and name in self.small.kept else self.learns[name]

    def whole(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of the model's, or its gradient, in the shape of the whole model's."""
        return tensor if self.small is None else self.small.spread(name, tensor)

    def knows(self) -> bool:
        """Whether what is remembered is of these weights: removed ones are the zeros that were left here."""
        removed = (bool(tensor.detach()[~self.home[name]].any()) for name, tensor in self.tensors.items())
        return bool(self.memory) and not any(removed)

    @torch.no_grad()
    def begin(self, optimizer: Optimizer, *, known: bool = False) -> None:
        """Put a structure on: remember, mask the values, clear the optimizer state of what is removed.

        Args:
            optimizer: holds the tensors.
            known: what is remembered already holds; a model that lost its weights here has no others to remember.
        """
        for name, tensor in self.tensors.items():
            if self.values.remembers and not known:
                self.memory[name] = first_memory(self.values, tensor, self.home[name])
            if not bool(self.home[name].all()):
                tensor.masked_fill_(~self.home[name], 0)  # times zero, negative weights would be minus zero
                clear_state(optimizer, tensor, ~self.home[name])
        self._mask_copy({})
        self.begun = {name: tensor._version for name, tensor in self.tensors.items()}
        self.begun_copy = {name: tensor._version for name, tensor in self.copy.items()}
        self.first = self.acts

    def check_loaded(self) -> None:
        """Check at the first step that a loaded state did not come without its weights: a `TrainError` if it did."""
        if not self.begun:
            return
        if self.first is not self.acts:
            self._check_came(self.tensors, self.acts, self.begun, "model")
            self._check_came(self.copy, self.home, self.begun_copy, "averaged copy")
        self.begun, self.begun_copy, self.first = {}, {}, {}

    def _check_came(
        self, tensors: Mapping[str, Tensor], masks: Mapping[str, Tensor], begun: Mapping[str, int], what: str
    ) -> None:
        if any(tensor._version != begun[name] for name, tensor in tensors.items()):
            return
        missing = {name: (masks[name] & ~self.first[name]).to(tensor.device) for name, tensor in tensors.items()}
        values = [self.whole(name, tensor.detach())[missing[name]] for name, tensor in tensors.items()]
        if sum(part.numel() for part in values) and not any(bool(part.any()) for part in values):
            raise TrainError(
                f"the sparsifier's state was loaded and the {what}'s weights were not, since attach() put the first "
                f"structure on them: weights that were loaded before it have lost what it removed. Load the {what} "
                "after attach(); optimizer and sparsifier may come before or after it"
            )

    @torch.no_grad()
    def show(self, decay: float) -> None:
        """Before an update: straight-through weights take on their hidden values, which the optimizer is to change.

        Args:
            decay: times its value, this is added to the gradient of each.
        """
        for name, mask in self.hidden.items():
            tensor = self.tensors[name]
            tensor.copy_(torch.where(mask, self.memory[name], tensor))
            if decay and tensor.grad is not None:
                tensor.grad.add_(tensor * mask, alpha=decay)

    @torch.no_grad()
    def enforce(self, *, frozen: bool) -> None:
        """After an update: removed weights are zero, frozen ones hold what they held."""
        if not frozen:
            for name, mask in self.hidden.items():
                self.memory[name].copy_(torch.where(mask, self.tensors[name], self.memory[name]))
            if self.partial:  # a wholly active tensor is not touched at all
                factors = [as_factor(self.laid[name]) for name in self.partial]
                torch._foreach_mul_([self.tensors[name] for name in self.partial], factors)
            return
        for name, tensor in self.tensors.items():
            still = self.memory[name]
            if (
                self.values.explore == "zero" and not self.cross_slices
            ):  # what neither is active nor learns explores from zero too
                still = still * self.home[name]
            tensor.copy_(torch.where(self.learns[name], tensor, still))

    @torch.no_grad()
    def open(self, optimizer: Optimizer, gates: GateMap, home: Mapping[str, Tensor], *, freeze: bool) -> None:
        """Begin an exploration."""
        self.lay(gates, home, frozen=freeze)
        for name, tensor in self.tensors.items():
            wake(self.values, tensor, self.home[name], self.memory[name])
            if not freeze:
                clear_state(optimizer, tensor, ~self.home[name])
        self.held = put_away(optimizer, self.tensors) if freeze else None

    @torch.no_grad()
    def change(self, optimizer: Optimizer, gates: GateMap, home: Mapping[str, Tensor], *, explored: bool) -> None:
        """Put a new structure on, after an exploration or without one."""
        before, hidden = self.home, self.hidden
        learned = before if explored else self.learns
        self.lay(gates, home)
        if self.held is not None:
            take_back(optimizer, self.tensors, self.held)
            self.held = None
        born = {name: self.home[name] & ~before[name] for name in self.tensors}
        for name, tensor in self.tensors.items():
            gone = before[name] & ~self.home[name]
            memory = self.memory.get(name)
            leave(tensor, gone, memory)
            if explored and memory is not None:
                settle(self.values, tensor, before[name] & self.home[name], born[name], memory)
            else:
                revive(self.values, tensor, born[name], memory)
                if name in hidden and memory is not None:
                    tensor.copy_(torch.where(born[name] & hidden[name], memory, tensor))
            clear_state(optimizer, tensor, ~(learned[name] & self.learns[name]))
        self._mask_copy(born)

    def _mask_copy(self, born: Mapping[str, Tensor]) -> None:
        # An averaged copy would carry removed weights on as fading ghosts; grown ones start there as they start here.
        for name, tensor in self.copy.items():
            if name in born:
                tensor.copy_(torch.where(born[name].to(tensor.device), self.tensors[name].to(tensor), tensor))
            self._bare(name, tensor)

    def _bare(self, name: str, tensor: Tensor) -> None:
        tensor.masked_fill_(~self.home[name].to(tensor.device), 0)

    @torch.no_grad()
    def undress(self) -> list[tuple[Tensor, Tensor]]:
        """Take off what explores, here and in an averaged copy; gives the tensors and the values that they had."""
        saved = []
        for name, tensor in (*self.tensors.items(), *self.copy.items()):
            saved.append((tensor.detach(), tensor.detach().clone()))
            self._bare(name, tensor)
        return saved

    def seen(self, *, ghosts: bool) -> dict[str, Tensor]:
        """The weights as criteria see them.

        Args:
            ghosts: those that do not act with the values they had when they last did (zero if not kept).
        """
        beside = {name: self.whole(name, tensor.detach()) for name, tensor in self.beside.items()}
        now = {name: self.whole(name, tensor.detach()) for name, tensor in self.tensors.items()}
        if not self.memory or not ghosts:
            return beside | now
        return beside | {name: torch.where(self.acts[name], now[name], memory) for name, memory in self.memory.items()}

    def held_tensors(self) -> list[Tensor]:
        """Everything kept beyond the model and its optimizer, the state put away while exploring included."""
        kept = [t for masks in (self.acts, self.learns, self.home, self.memory) for t in masks.values()]
        away = [value for state in (self.held or {}).values() for value in state.values()]
        kept += [] if self.small is None else self.small.held_tensors()
        return kept + [value for value in away if isinstance(value, Tensor)]
