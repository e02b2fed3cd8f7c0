"""The first structure of a run, and the checks every method makes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..allocate import ErdosRenyiKernel, Patterned, Uniform, check_density
from ..core.checks import check_counts
from ..core.contracts import Allocator, Criterion, Probe, Schedule, check_allocator, check_criterion
from ..core.errors import BudgetError, TrainError
from ..core.group import Group, check_groups, check_listed, is_structured, tensors_of
from ..core.names import parameters_of
from ..core.signals import Signals
from ..criteria import Random
from ..moves.prune import Prune
from ..moves.schedules import geometric
from ..moves.timeline import Event
from ..signals.collect import check_has_values


def usual_allocator(groups: Sequence[Group], inner: Allocator | None = None) -> Allocator:
    """Erdos-Renyi-Kernel densities (or another allocator's) for weights and blocks, the pattern for N:M groups.

    Channels and other structures have one density, since the shape of a tensor says nothing about how many there are.
    """
    check_listed(groups)
    inner = inner or (Uniform() if is_structured(groups) else ErdosRenyiKernel())
    return Patterned(inner) if any(group.pattern for group in groups) else inner


def first_keep(
    model: nn.Module,
    groups: Sequence[Group],
    density: float,
    *,
    allocator: Allocator | None = None,
    init: Criterion | None = None,
    seed: int = 0,
    probe: Probe | None = None,
) -> dict[str, Tensor]:
    """The units that a criterion would keep now.

    Args:
        model: the model.
        groups: its groups.
        density: share of all units that stays.
        allocator: how many stay, and which (`usual_allocator`).
        init: the criterion: `Random` for a random structure (default), any other to start from what a model shows.
        seed: for the criterion's noise.
        probe: measures the signals the criterion wants beyond weights and noise.

    Returns:
        Booleans ``[size]`` per group name.
    """
    check_density(density)
    check_allocator(allocator)
    scores = first_scores(model, groups, init=init, seed=seed, probe=probe)
    return (allocator or usual_allocator(groups))(groups, scores, density)


def first_scores(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    init: Criterion | None = None,
    seed: int = 0,
    probe: Probe | None = None,
) -> dict[str, Tensor]:
    """Scores ``[size]`` per group name as the model is now; the arguments are those of `first_keep`."""
    check_counts(seed=(seed, 0))
    parameters = parameters_of(model)
    check_groups(groups, parameters)
    tensors = {name: parameters[name].detach() for name in tensors_of(groups)}
    check_has_values(tensors)
    generator = torch.Generator().manual_seed(seed)
    noise = {name: torch.rand(t.shape, generator=generator).to(t.device) for name, t in tensors.items()}
    signals = Signals({"weight": tensors, "noise": noise})
    criterion = init or Random()
    check_criterion(criterion, "init")
    more = criterion.needs - {"weight", "noise"}
    if more and probe is not None:
        signals = signals.merged(probe(model, more))
    return {group.name: criterion(group, signals) for group in groups}


def densities(groups: Sequence[Group], curve: Schedule, final: float, at: Sequence[int]) -> list[float]:
    """The densities of a descent at these steps; N:M groups have but one, so they take it at once."""
    check_listed(groups)
    return [final if all(group.pattern for group in groups) else curve(step) for step in at]


def check_reachable(groups: Sequence[Group], allocator: Allocator, shares: Sequence[float]) -> None:
    """Let an allocator refuse now what it would refuse in the midst of a run.

    Args:
        groups: the groups.
        allocator: how many of their units stay.
        shares: the densities of a descent, falling; what can be met at both ends can be met in between.

    Raises:
        BudgetError: one cannot be met.
    """
    check_listed(groups)
    check_allocator(allocator)
    scores = {group.name: torch.zeros(1).expand(group.size) for group in groups}
    allocator(groups, scores, shares[-1])
    try:
        allocator(groups, scores, shares[0])
    except BudgetError as error:
        raise BudgetError(f"on the way from dense down to {shares[-1]:g}: {error}") from error


def descent(
    groups: Sequence[Group], reach: int, density: float, criterion: Criterion, allocator: Allocator | None
) -> list[Event]:
    """From dense down to a density over the first ``reach`` steps, in 30 prunings at most.

    HALP's law of targets: each pruning removes the same share of what is left.
    """
    allocator, count = allocator or usual_allocator(groups), min(30, reach)
    shares = densities(groups, geometric(1.0, density, max(1, count)), density, range(1, count + 1))
    check_reachable(groups, allocator, shares)
    window = max(1, reach // max(1, count))
    stages = ["prune"] * (count - 1) + ["estimate"]
    prunes = [(Prune(criterion, allocator, share),) for share in shares]
    return [Event(round(n * reach / count), prunes[n - 1], stages[n - 1], window) for n in range(1, count + 1)]


def all_kept(groups: Sequence[Group]) -> dict[str, Tensor]:
    """Every unit of every group."""
    check_listed(groups)
    return {group.name: torch.ones(group.size, dtype=torch.bool) for group in groups}


def check_steps(steps: int, needed: int, what: str, *, run: int | None = None) -> None:
    """Check that a run is long enough.

    Args:
        steps: the part of it that is meant, or all of it.
        needed: the least length.
        what: what would not fit, for the message.
        run: the length of the whole run, where a part is meant.

    Raises:
        TrainError: it is not.
    """
    if steps < max(1, needed):
        part = run is not None and run > steps
        longer = f" (about {math.ceil(run * needed / steps)} steps)" if part and run and steps > 0 else ""
        raise TrainError(
            f"{steps}{f' of {run}' if part else ''} steps are too few: {what} needs at least {needed}; "
            f"train longer{longer} or make the intervals shorter"
        )
