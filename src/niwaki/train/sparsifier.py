"""The sparsifier: hangs on the user's optimizer and carries out a plan."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..core.checks import check_counts
from ..core.contracts import Probe
from ..core.errors import TrainError
from ..core.gates import GateMap, counts_of, kept_gates
from ..core.group import Group, check_groups, tensors_of
from ..core.names import parameters_of
from ..measure.ledger import Ledger
from ..signals.collect import check_has_values
from . import attaching, saving
from .aboard import board
from .body import Body
from .closures import Call, with_closure
from .company import join, part
from .diary import Diary
from .holders import hold, let_go
from .listen import Listener
from .materialised import Materialised
from .meter import Meter
from .norms import Norms
from .outermost import Outermost
from .plan import Plan
from .playing import narrow, transition, widen
from .ranks import check_agreement
from .stepping import finish, gradient_hook, prepare, unscale
from .surgery import inner_optimizer

_OWN_STREAM = 0x9E3779B97F4A7C15
"""Sets the sparsifier's draws apart from those of the first structure, which were made with the same seed."""


class Sparsifier:
    """Carries out a plan while the user's own loop trains.

    It listens to ``optimizer.step()`` and nothing else has to be called. Methods such as `niwaki.iee` build one.

    Args:
        model: the model, wrapped or not.
        groups: its groups.
        plan: what the method does when.
        seed: for the plan's random choices.
        probe: measures the signals that the training loop does not give, for criteria that want them.
        example: one batch of inputs (a tensor, or a tuple of them), from which training FLOPs are counted; without it
            they are counted at the first forward pass.

    >>> from niwaki.structure.declare import weights
    >>> model = nn.Linear(4, 2)
    >>> keep = {"weight": torch.tensor([True, False] * 4)}
    >>> sparsifier = Sparsifier(model, weights(model), Plan(keep)).attach(torch.optim.SGD(model.parameters(), lr=0.1))
    >>> sparsifier.density, int((model.weight == 0).sum())
    (0.5, 4)
    """

    def __init__(
        self,
        model: nn.Module,
        groups: Sequence[Group],
        plan: Plan,
        *,
        seed: int = 0,
        probe: Probe | None = None,
        example: object = None,
    ) -> None:
        parameters = parameters_of(model)
        check_groups(groups, parameters)
        check_counts(seed=(seed, 0))
        attaching.check_plan(plan, groups, probe)
        tensors = {where.tensor: parameters[where.tensor] for group in groups for where in group.slices}
        check_has_values(tensors)
        self.model, self.groups, self.plan, self.probe = model, groups, plan, probe
        self.step = 0
        self.is_exploring = False
        self._generator = torch.Generator().manual_seed((seed ^ _OWN_STREAM) % 2**63)
        self._home = {g.name: plan.keep[g.name].to(tensors[g.slices[0].tensor].device) for g in groups}
        self._gates: GateMap = {name: kept_gates(keep) for name, keep in self._home.items()}
        beside = {name: parameters[name] for name in tensors_of(groups) if name not in tensors}
        self._body = Body(groups, tensors, plan.values, beside=beside, cross_slices=plan.train_cross_slices)
        if plan.materialise:
            attaching.check_materialise(plan)
            self._body.small = Materialised(model, groups)
            self._body.small.check()
        self._body.lay(self._gates, self._home)
        self._diary = Diary.begin(self._home)
        self._listener = Listener()
        self._meter = Meter(model, next(iter(tensors)), example)
        self._norms = Norms(model, groups)
        self._parameters = parameters
        self._optimizer: Optimizer | None = None
        self._call = Outermost()
        self._skipping = self._replaces = False
        self._rates: list[Any] = []
        self._stateless: list[nn.Parameter] = []
        self._paused: GateMap | None = None

    def attach(self, optimizer: Optimizer, ema: nn.Module | None = None) -> Sparsifier:
        """Hang on an optimizer: its steps are the plan's steps now, and its state takes the sparsifier's along.

        Args:
            optimizer: holds all tensors of the groups.
            ema: an averaged copy of the model that the loop updates; its removed weights are kept at zero too.

        Returns:
            The sparsifier itself.
        """
        inner = inner_optimizer(optimizer)
        attaching.check_optimizer(self, inner, ema)
        check_agreement(self._home, self.step)
        copy = attaching.averaged_tensors(ema, self._body.tensors) if ema is not None else {}
        hold(self._body.tensors, self)
        self._optimizer = inner
        attaching.warn_unfrozen(self, inner)
        self._body.copy = copy
        known = self._body.knows()
        self._body.begin(inner, known=known)
        self._norms.begin(ema, remembers=self.plan.values.remembers, known=known)
        if self._paused is not None:
            transition(self, self._paused, dict(self._home), explores=True)
        self._hang(inner)
        return self

    def _hang(self, inner: Optimizer) -> None:
        handles: list[RemovableHandle] = [
            inner.register_step_pre_hook(self._before_step),
            inner.register_step_post_hook(self._after_step),
            *(t.register_hook(gradient_hook(self, n)) for n, t in self._body.tensors.items()),  # type: ignore[no-untyped-call]
            *self._meter.attach(weakref.WeakMethod(self.whole)),
            *board(self, inner),
        ]
        join(inner, self)
        # The optimizer keeps the sparsifier alive; when it is gone, nothing of the sparsifier stays on the model.
        self._unhang = weakref.finalize(self, _remove, handles)
        self._unhang.atexit = False

    def detach(self) -> None:
        """Let go of the optimizer and leave the model as it is to be delivered.

        An exploration under way is ended; it begins anew if the sparsifier is attached again.
        """
        if self._optimizer is None:
            return
        unscale(self)
        widen(self)
        self._paused = self._gates if self.is_exploring else None
        if self.is_exploring:
            transition(self, {n: kept_gates(keep) for n, keep in self._home.items()}, dict(self._home), explores=False)
        self._unhang()
        part(self._optimizer, self)
        self._optimizer = None
        let_go(self._body.tensors)

    def __getstate__(self) -> NoReturn:
        """Refuse to be copied or pickled: hooks would stay behind, and the copy would do nothing.

        Raises:
            TrainError: always.
        """
        raise TrainError(
            "a sparsifier hangs on its model and optimizer and cannot be copied or pickled; build one anew for the "
            "copy of the model, attach it, and load this one's state_dict()"
        )

    def __repr__(self) -> str:
        """Where it stands."""
        units, state = sum(group.size for group in self.groups), "attached" if self._optimizer else "not attached"
        return f"Sparsifier(step {self.step}, {self.stage}, density {self.density:.4g} of {units:,} units, {state})"

    @property
    def stage(self) -> str:
        """The name of the stage that runs now."""
        return self.plan.timeline.stage(self.step)

    @property
    def density(self) -> float:
        """The share of all units that the delivered model would keep now."""
        return sum(counts_of(self._home).values()) / sum(group.size for group in self.groups)

    @property
    def keep(self) -> dict[str, Tensor]:
        """Booleans ``[size]`` per group name: the units the delivered model would keep now."""
        return {name: keep.clone() for name, keep in self._home.items()}

    @property
    def ledger(self) -> Ledger:
        """What the training has cost so far, stage by stage."""
        return self._meter.ledger

    @property
    def history(self) -> list[dict[str, object]]:
        """One record for each move so far."""
        return self._diary.records

    @property
    def extra_bytes(self) -> int:
        """Memory taken beyond model and optimizer: masks, remembered values, records, and what is put away."""
        diary, gates = self._diary, self._gates.values()
        units = [self._home, diary.cycle, diary.ever, diary.grown, diary.dropped, self._listener.sums]
        tensors = [
            *self._body.held_tensors(),
            *self._norms.held_tensors(),
            *(t for named in units for t in named.values()),
        ]
        tensors += [t for gate in gates for t in (gate.forward, gate.train)]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    def masks(self) -> dict[str, Tensor]:
        """The masks of the delivered model, by tensor name."""
        return {name: mask.clone() for name, mask in self._body.home.items()}

    @contextmanager
    def pruned(self) -> Generator[nn.Module, None, None]:
        """The model as it would be delivered now, and its averaged copy, also in the middle of an exploration."""
        saved = self._body.undress() if self.is_exploring else []
        try:
            yield self.model
        finally:
            with torch.no_grad():
                for tensor, value in saved:
                    tensor.copy_(value)

    @contextmanager
    def whole(self) -> Generator[nn.Module, None, None]:
        """A block in which a materialised model has its whole shape, with zeros; to save or load a run in."""
        was_small = widen(self)
        try:
            yield self.model
        finally:
            if was_small or self.step:  # a run that was loaded in the block goes on as small as the saved one was
                narrow(self)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on exactly where this one stands; the optimizer's ``state_dict()`` has it aboard."""
        return saving.state_dict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state. Load model and optimizer too, in any order, after `attach`."""
        saving.load_state_dict(self, state)

    @property
    def _is_frozen(self) -> bool:
        return self.is_exploring and self.plan.freeze

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        if not self._call.opens(sys._getframe(1)):
            return None
        call = with_closure(args, kwargs, lambda: prepare(self, optimizer))
        if call is None:
            prepare(self, optimizer)
        return call

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._call.closes(sys._getframe(1)):
            finish(self, optimizer)


def _remove(handles: Sequence[RemovableHandle]) -> None:
    for handle in handles:
        handle.remove()
