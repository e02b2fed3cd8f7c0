"""RigL and SET: swap a share of the weights every so many steps (Evci et al. 2020; Mocanu et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..core.checks import check_counts, check_schedule, check_shares
from ..core.contracts import Allocator, Criterion, Probe, Schedule
from ..core.errors import TrainError
from ..core.group import Group, check_listed
from ..criteria import Gradient, Magnitude, Random
from ..moves.drop import Drop
from ..moves.grow import Grow
from ..moves.schedules import rigl_cosine
from ..moves.timeline import Event, Timeline
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import is_dead_at_zero, values_on_return
from .start import check_steps, first_keep


def _check_growth(groups: Sequence[Group], grow: Criterion) -> None:
    check_listed(groups)
    dead = [group.name for group in groups if is_dead_at_zero(group)]
    if dead and "grad" in grow.needs:
        raise TrainError(
            f"{type(grow).__name__} cannot tell which units of group {dead[0]!r} should grow: what makes a removed "
            "unit and what reads it are both zero, and so are their gradients. Take iee, which lets removed units "
            "explore, or sparse_evolution, which grows at random"
        )


def rigl(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int,
    every: int = 100,
    alpha: float = 0.3,
    end: float = 0.75,
    swap: Schedule | None = None,
    grow: Criterion | None = None,
    init: Criterion | None = None,
    allocator: Allocator | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Drop the smallest weights, grow those with the largest gradient; new weights start at zero.

    An update of the structure takes the place of the optimizer's update of that step, as in the authors' code; a weight
    that is dropped and grown in the same update keeps its value and its optimizer state. Removed channels and heads
    have no gradient, so that for them ``grow`` must be a criterion that reads none, such as `Random` (SET).

    Args:
        model: the model.
        groups: its groups.
        density: share of the units that is active, always.
        steps: length of the run.
        every: steps between updates.
        alpha: share of a layer's active units that is swapped in the first update.
        end: share of the run after which the structure stands.
        swap: the share to swap at a step; default the cosine ``alpha / 2 (1 + cos(pi step / (end steps)))``.
        grow: which units come back (`Gradient`).
        init: chooses the first structure (random).
        allocator: how many stay in each group (Erdos-Renyi-Kernel; the pattern for N:M groups).
        seed: of the random structure.
        probe: measures what the criteria want beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    grow = grow or Gradient()
    _check_growth(groups, grow)
    check_counts(steps=(steps, 1), every=(every, 1))
    check_shares(alpha=alpha, end=end)
    check_schedule(swap=swap)
    what = f"an update every {every} steps in the first {end:.0%} of the run"
    check_steps(int(end * steps), every + 1, what, run=steps)
    keep = first_keep(model, groups, density, allocator=allocator, init=init, seed=seed, probe=probe)
    last = int(end * steps)
    swap = swap or rigl_cosine(alpha, last)
    events = tuple(
        Event(step, (Drop(Magnitude(), swap(step)), Grow(grow)), "train", instead=True)
        for step in range(every, last, every)
    )
    plan = Plan(keep, Timeline(events), values_on_return(groups), steps=steps)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)


def sparse_evolution(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int,
    every: int = 100,
    alpha: float = 0.3,
    end: float = 0.75,
    swap: Schedule | None = None,
    init: Criterion | None = None,
    allocator: Allocator | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """SET: as `rigl`, but what grows is chosen at random. The arguments are those of `rigl`, without ``grow``."""
    start = {"init": init, "allocator": allocator, "seed": seed, "probe": probe, "example": example}
    when = {"every": every, "alpha": alpha, "end": end, "swap": swap}
    return rigl(model, groups, density=density, steps=steps, grow=Random(), **when, **start)  # type: ignore[arg-type]
