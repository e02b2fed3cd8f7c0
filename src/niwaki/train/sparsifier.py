"""The sparsifier: hangs on the user's optimizer and carries out a plan."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..core.checks import check_counts
from ..core.contracts import Probe
from ..core.gates import GateMap, as_factor, counts_of, kept_gates
from ..core.group import Group, check_groups, tensors_of
from ..core.names import parameters_of
from ..measure.ledger import Ledger
from . import attaching, saving
from .aboard import board
from .body import Body
from .closures import Call, with_closure
from .diary import Diary
from .holders import hold, let_go
from .listen import Listener, is_windowed
from .materialised import Materialised
from .meter import Meter
from .norms import Norms
from .plan import Plan
from .playing import narrow, play_event, transition, widen
from .ranks import check_agreement
from .scoring import loop_signals
from .surgery import (
    beside,
    clear_gradients,
    gradient_scale,
    inner_optimizer,
    is_skipped,
    restore_rates,
    scale_rates,
    stateless,
)


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
        self.model, self.groups, self.plan, self.probe = model, groups, plan, probe
        self.step = 0
        self.is_exploring = False
        self._generator = torch.Generator().manual_seed(seed)
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
        self._optimizer: Optimizer | None = None
        self._handles: list[RemovableHandle] = []
        self._skipping = False
        self._rates: list[Any] = []
        self._stateless: list[nn.Parameter] = []

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
        self._body.begin(inner)
        self._norms.begin(ema, remembers=self.plan.values.remembers)
        self._handles = [
            inner.register_step_pre_hook(self._before_step),
            inner.register_step_post_hook(self._after_step),
            *(t.register_hook(self._gradient_hook(n)) for n, t in self._body.tensors.items()),  # type: ignore[no-untyped-call]
            *self._meter.attach(),
            *board(self, inner),
        ]
        return self

    def detach(self) -> None:
        """Let go of the optimizer and leave the model as it is to be delivered; an exploration under way is ended."""
        if self._optimizer is None:
            return
        widen(self)
        if self.is_exploring:
            transition(self, {n: kept_gates(keep) for n, keep in self._home.items()}, dict(self._home), explores=False)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._optimizer = None
        let_go(self._body.tensors)

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
        """The model as it would be delivered now, also in the middle of an exploration; for evaluation and export."""
        tensors = self._body.tensors
        saved = {name: tensor.detach().clone() for name, tensor in tensors.items()} if self.is_exploring else {}
        with torch.no_grad():
            for name in saved:
                tensors[name].masked_fill_(~self._body.home[name], 0)
        try:
            yield self.model
        finally:
            with torch.no_grad():
                for name, value in saved.items():
                    tensors[name].copy_(value)

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

    def _gradient_hook(self, name: str) -> Any:
        def hook(gradient: Tensor) -> Tensor | None:
            if name == self._meter.first_tensor:
                self._meter.backward_passes += 1
            if self._wants_dense_gradient() or (name not in self._body.partial and not self.is_exploring):
                return None
            # Masked here and not only at the step: clipping must not count what will not be applied.
            mask = self._body.learning(name)
            attaching.check_place(name, gradient, mask)
            return gradient * as_factor(mask)

        return hook

    def _wants_dense_gradient(self) -> bool:
        event = self.plan.timeline(self.step + 1)
        return event is not None and event.instead and any("grad" in c.needs for c in event.criteria)

    def _before_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        call = with_closure(args, kwargs, lambda: self._prepare(optimizer))
        if call is None:
            self._prepare(optimizer)
        return call

    def _prepare(self, optimizer: Optimizer) -> None:
        self._skipping = is_skipped(optimizer)
        if self._skipping:
            self._stateless = stateless(optimizer)
            if self._is_frozen:
                clear_gradients(optimizer, beside(optimizer, self._body.tensors.values()))
            return
        self._body.check_loaded()
        attaching.check_gradients(self._body.tensors, self.step)
        event = self.plan.timeline.upcoming(self.step)
        if event is not None and event.step - event.window <= self.step:
            if any(is_windowed(criterion) for criterion in event.criteria):
                self._listener.hear(event.criteria, self.groups, loop_signals(self._body, optimizer))
            if event.instead and event.step == self.step + 1:
                self._meter.dense_gradient = self._wants_dense_gradient()
                play_event(self, event)
                clear_gradients(optimizer)
        if self._is_frozen:
            clear_gradients(optimizer, beside(optimizer, self._body.tensors.values()))
        if self._body.hidden:
            self._body.show(self.plan.straight_through_decay * gradient_scale(optimizer))
        if self.is_exploring and self.plan.explore_rate != 1.0:
            self._rates = scale_rates(optimizer, self.plan.explore_rate)

    def _after_step(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._skipping:
            # A fused SGD makes momentum even in an update it passes over, and leaves it uninitialised.
            for parameter in self._stateless:
                optimizer.state.pop(parameter, None)
            self._meter.backward_passes = 0
            return
        if self._rates:
            restore_rates(optimizer, self._rates)
            self._rates = []
        self._body.enforce(frozen=self._is_frozen)
        self._norms.hold()
        self._meter.tick(self.stage, self._body, frozen=self._is_frozen)
        self.step += 1
        event = self.plan.timeline(self.step)
        if event is not None and not event.instead:
            play_event(self, event)
        narrow(self)
