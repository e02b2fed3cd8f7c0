"""Checks at the boundary between the user's objects and the sparsifier."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.contracts import Probe, check_criterion
from ..core.errors import GroupError, SignalError, TrainError
from ..core.finite import not_finite
from ..core.gates import GateMap, is_binary_pair, is_boolean_pair
from ..core.group import Group, check_groups
from ..core.names import parameters_of
from ..moves.timeline import Event
from ..signals.processes import is_shared
from .listen import AT_HAND
from .plan import Plan
from .surgery import all_parameters
from .values import is_dead_at_zero

if TYPE_CHECKING:
    from .sparsifier import Sparsifier


_ONE_EACH = "make one sparsifier for each optimizer, of the groups whose tensors it holds"


def _check_alive(plan: Plan, groups: Sequence[Group]) -> None:
    events, values = plan.timeline.events, plan.values
    dead = [group for group in groups if is_dead_at_zero(group)]
    if not dead:
        return
    name, remedy = dead[0].name, "pass explore_init='mru_random' and grow_init='explored', or Values of that kind"
    if any(move.name in ("grow", "restore") for event in events for move in event.moves) and (
        values.grow == "zero" or not values.remembers
    ):
        raise TrainError(
            f"units of group {name!r} lie in several tensors, and one that comes back with zeros in all of them never "
            f"gets a gradient; {remedy}, which need remembers=True"
        )
    if plan.timeline.explores:
        never = any(not bool(plan.keep[group.name].all()) for group in dead)
        if values.explore == "zero" or (values.explore == "mru_zero" and never):
            raise TrainError(
                f"units of group {name!r} lie in several tensors, and get no gradient while they explore from zeros in "
                f"all of them (explore_init={values.explore!r}); {remedy}"
            )


def check_plan(plan: Plan, groups: Sequence[Group], probe: Probe | None) -> None:
    """Check that a plan fits the groups and that every criterion will get its signals.

    Args:
        plan: the plan.
        groups: the groups.
        probe: what measures signals beyond the loop's own.

    Raises:
        GroupError: a group whose first structure is missing or has another size.
        SignalError: a criterion needs a signal that nobody will collect.
        TrainError: an exploration without memory, a gradient criterion with nothing to average, or channels that would
            come back dead.
    """
    for group in groups:
        keep = plan.keep.get(group.name)
        if not isinstance(keep, Tensor) or keep.shape != (group.size,) or keep.dtype != torch.bool:
            tensor = f"{tuple(keep.shape)} {keep.dtype}" if isinstance(keep, Tensor) else None
            seen = tensor or ("none" if keep is None else repr(keep)[:40])
            raise GroupError(f"group {group.name!r} needs {group.size} booleans for its first structure, got {seen}")
    _check_alive(plan, groups)
    for event in plan.timeline.events:
        if event.explores and not plan.values.remembers:
            raise TrainError("a plan that explores needs Values(remembers=True), to restore what it puts away")
        for criterion in event.criteria:
            check_criterion(criterion)
            missing = criterion.needs - AT_HAND
            if missing and probe is None:
                raise SignalError(
                    f"{type(criterion).__name__} needs the signal(s) {', '.join(sorted(missing))}, which a training "
                    "loop does not give; pass probe=nw.probe(batches, loss), or choose a criterion that reads only "
                    "weights and gradients"
                )
            if missing and probe is not None and hasattr(probe, "check_needs"):
                probe.check_needs(criterion.needs - {"weight", "noise"})  # these the sparsifier gives itself


def check_gates(plan: Plan, event: Event, gates: GateMap) -> None:
    """Check what a move gave.

    Args:
        plan: the plan.
        event: the event whose moves were played.
        gates: what they gave.

    Raises:
        TrainError: gates in between, or straight-through ones without a place for their hidden values.
    """
    if not all(is_boolean_pair(gate) for gate in gates.values()):
        raise TrainError(
            f"the move {event.name!r} gave gates that are neither active, frozen, removed nor straight-through"
        )
    if not all(is_binary_pair(gate) for gate in gates.values()) and not plan.values.remembers:
        raise TrainError(
            f"the move {event.name!r} gave straight-through gates, whose hidden values need Values(remembers=True)"
        )
    if not all(is_binary_pair(gate) for gate in gates.values()) and plan.materialise:
        raise TrainError(
            f"the move {event.name!r} gave straight-through gates, which learn from what the whole model computes; "
            "leave materialise=True out"
        )


def check_materialise(plan: Plan) -> None:
    """Check that a plan asks nothing of a smaller model that only the whole one has.

    Args:
        plan: with ``materialise``.

    Raises:
        TrainError: an event reads the gradients of removed units.
    """
    for event in plan.timeline.events:
        if event.instead and any("grad" in criterion.needs for criterion in event.criteria):
            raise TrainError(
                f"with materialise=True removed units have no gradient, which {event.name!r} in step {event.step} "
                "reads; leave materialise out, or grow by another criterion"
            )


def _holder_of_shapes(model: nn.Module, ema: nn.Module | None) -> str | None:
    if ema is not None:
        return "ema= keeps the shapes of the whole model"
    if is_shared(reduce=True):
        return "several processes share the gradients"
    if isinstance(model, nn.parallel.DistributedDataParallel):
        return "DistributedDataParallel holds gradients of the first ones"
    return None


def _check_kind(optimizer: object) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TrainError(
            f"attach() takes one torch.optim.Optimizer, not a {type(optimizer).__name__}; where several optimizers "
            f"train the model, {_ONE_EACH}"
        )
    within = next((name for name, value in vars(optimizer).items() if isinstance(value, Optimizer)), None)
    if within is not None:
        raise TrainError(
            f"{type(optimizer).__name__} keeps its state in another optimizer ({within!r}), where the momentum of "
            "units that come and go is out of reach; train with a plain optimizer"
        )
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TrainError("LBFGS makes an update of gradients at several points, which masks do not fit; take another")


def _check_rates(plan: Plan, optimizer: Optimizer) -> None:
    if plan.explore_rate == 1.0 or not plan.timeline.explores:
        return
    if any(not isinstance(group.get("lr"), float | int | Tensor) for group in optimizer.param_groups):
        raise TrainError(
            f"{type(optimizer).__name__} has no learning rate that others can set, so exploration cannot go at "
            f"{plan.explore_rate:g} of it; give it lr=, or pass explore_rate=1"
        )


def check_optimizer(sparsifier: Sparsifier, optimizer: Optimizer, ema: nn.Module | None) -> None:
    """Check that an optimizer and a sparsifier fit together.

    Args:
        sparsifier: not attached yet.
        optimizer: the innermost optimizer.
        ema: an averaged copy of the model.

    Raises:
        TrainError: no optimizer or not a plain one, one without a learning rate, attached already, a tensor of a group
            is not the optimizer's or does not learn, or something holds the shapes of tensors that are to change.
    """
    _check_kind(optimizer)
    _check_rates(sparsifier.plan, optimizer)
    holder = _holder_of_shapes(sparsifier.model, ema) if sparsifier.plan.materialise else None
    if holder is not None:
        raise TrainError(f"materialise=True changes the shapes of the model's tensors, but {holder}; leave it out")
    if sparsifier._optimizer is not None:
        raise TrainError("this sparsifier is attached already; detach() it first")
    current = parameters_of(sparsifier.model)
    check_groups(sparsifier.groups, current)
    held = {id(parameter) for parameter in all_parameters(optimizer)}
    for name, tensor in sparsifier._body.tensors.items():
        if current[name] is not tensor:
            raise TrainError(f"the model's parameter {name!r} was replaced after the groups were made; make them anew")
        if not tensor.requires_grad:
            raise TrainError(f"{name!r} does not require gradients, so it cannot be trained; leave it out with ignore=")
        if id(tensor) not in held:
            raise TrainError(
                f"the optimizer does not hold {name!r}, which a group wants to prune; build the optimizer from all "
                "parameters of this very model, or leave the tensor out with ignore=; if another optimizer holds it, "
                f"{_ONE_EACH}"
            )


def warn_unfrozen(sparsifier: Sparsifier, optimizer: Optimizer) -> None:
    """Warn if exploration cannot freeze everything, because another optimizer holds part of the model."""
    if not sparsifier.plan.freeze or not sparsifier.plan.timeline.explores:
        return
    held = {id(parameter) for parameter in all_parameters(optimizer)}
    loose = [name for name, p in parameters_of(sparsifier.model).items() if p.requires_grad and id(p) not in held]
    if loose:
        warnings.warn(
            f"{', '.join(loose[:5])} are not in this optimizer and will keep learning while the rest is frozen for "
            "exploration; put them into the same optimizer, or give their optimizer a sparsifier of its own with the "
            "same steps",
            stacklevel=3,
        )


def averaged_tensors(copy: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an averaged copy that belong to the groups.

    Args:
        copy: an averaged copy of the model, such as `torch.optim.swa_utils.AveragedModel`.
        tensors: the model's own.

    Returns:
        The copy's tensors under the model's names.

    Raises:
        TrainError: the copy lacks one, or has it in another shape.
    """
    found = parameters_of(copy)
    for name, tensor in tensors.items():
        if name not in found or found[name].shape != tensor.shape:
            raise TrainError(f"the averaged copy has no {name!r} of shape {tuple(tensor.shape)}; is it of this model?")
    return {name: found[name].detach() for name in tensors}


def check_place(name: str, gradient: Tensor, mask: Tensor) -> None:
    """Check that a tensor is still where it was.

    Args:
        name: of the tensor.
        gradient: its gradient.
        mask: made with the sparsifier.

    Raises:
        TrainError: the model was moved meanwhile.
    """
    if gradient.device != mask.device:
        raise TrainError(
            f"{name!r} is on {gradient.device} and was on {mask.device} when the sparsifier was made; move the model "
            "first, then make optimizer, groups and sparsifier, and load their states"
        )


def check_gradients(sparsifier: Sparsifier, optimizer: Optimizer) -> None:
    """Check the gradients before they are applied, also of what no group holds: one NaN spreads in one step.

    Args:
        sparsifier: attached.
        optimizer: about to update. What another one holds is left to it.

    Raises:
        SignalError: a gradient holds a NaN or infinity, or that of a group's tensor is sparse. Model and optimizer are
            untouched then.
    """
    held, own = {id(parameter) for parameter in all_parameters(optimizer)}, sparsifier._body.tensors
    gradients = {}
    for name, parameter in sparsifier._parameters.items():
        if parameter.grad is None or id(parameter) not in held:
            continue
        if not parameter.grad.is_sparse:
            gradients[name] = parameter.grad
        elif name in own:
            raise SignalError(f"the gradient of {name!r} is a sparse tensor; use sparse=False in its layer")
    bad = not_finite(gradients)
    if bad is None:
        return
    raise SignalError(
        f"the gradient of {bad!r} is not finite in step {sparsifier.step + 1}; nothing was changed. Lower the learning "
        "rate, clip the gradients, or step through torch.amp.GradScaler, which passes such steps over"
    )
