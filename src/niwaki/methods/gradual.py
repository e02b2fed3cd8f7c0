"""GMP and AC/DC: from a dense network down, once or again and again (Zhu & Gupta 2017; Peste et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ..allocate import Global, check_density
from ..core.checks import check_counts, check_shares
from ..core.contracts import Allocator, Criterion, Probe
from ..core.errors import TrainError
from ..core.group import Group
from ..criteria import Magnitude
from ..moves.prune import Prune
from ..moves.restore import Restore
from ..moves.schedules import cubic
from ..moves.timeline import Event, Timeline
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import Values, values_on_return
from .start import all_kept, check_reachable, check_steps, densities, usual_allocator


def _ranked_together(groups: Sequence[Group]) -> Allocator:
    return usual_allocator(groups, Global(min_share=0.005))


def gmp(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int,
    every: int = 100,
    begin: float = 0.0,
    end: float = 0.75,
    criterion: Criterion | None = None,
    allocator: Allocator | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Gradual magnitude pruning: the density falls from 1 along a cubic curve; what is pruned stays pruned.

    ``d(t) = d_f + (1 - d_f) (1 - (t - t0) / (t1 - t0))^3``.

    Args:
        model: the model.
        groups: its groups.
        density: share of the units at the end.
        steps: length of the run.
        every: steps between prunings.
        begin: share of the run before the first pruning.
        end: share of the run at which the density is reached.
        criterion: what stays (`Magnitude`).
        allocator: how many stay in each group (all ranked together, no group below half a percent).
        seed: for random criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    check_density(density)
    check_counts(steps=(steps, 1), every=(every, 1))
    check_shares(begin=begin, end=end)
    first, last = int(begin * steps), int(end * steps)
    what = f"one pruning every {every} steps between {begin:.0%} and {end:.0%} of the run"
    check_steps(last - first, every, what, run=steps)
    curve = cubic(1.0, density, last - first, first)
    at = [*range(first + every, last, every), last]
    allocator, criterion = allocator or _ranked_together(groups), criterion or Magnitude()
    shares = densities(groups, curve, density, at)
    check_reachable(groups, allocator, shares)
    events = tuple(
        Event(step, (Prune(criterion, allocator, share),), "train" if step == last else "prune", window=every)
        for step, share in zip(at, shares, strict=True)
    )
    plan = Plan(all_kept(groups), Timeline(events, start="prune"), Values(remembers=False), steps=steps)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)


def _phases(compress: Sequence[float], decompress: Sequence[float], steps: int) -> list[tuple[int, bool]]:
    """The step at which each phase of AC/DC begins, and whether it is a compressed one.

    Args:
        compress: shares of the run.
        decompress: likewise.
        steps: length of the run.

    Returns:
        The phases in their order.

    Raises:
        TrainError: the last phase is dense, there is none, or two fall on one step.
    """
    check_shares(**{f"compress[{n}]": share for n, share in enumerate(compress)})
    check_shares(**{f"decompress[{n}]": share for n, share in enumerate(decompress)})
    phases = sorted([(share, True) for share in compress] + [(share, False) for share in decompress])
    if not phases or not phases[-1][1]:
        dense = f"the last phase, at {phases[-1][0]} of the run, is a dense one" if phases else "there are no phases"
        raise TrainError(f"{dense}, so that nothing is pruned at the end; let a share in compress= be the last")
    check_steps(steps, 4 * len(phases), f"a schedule of {len(phases)} phases")
    found = [(max(1, round(share * steps)), share, down) for share, down in phases]
    for (step, one, _), (later, other, _) in pairwise(found):
        if step == later:
            raise TrainError(
                f"two phases, at {one} and {other} of the run, fall on step {step} of {steps}; set them further apart"
            )
    return [(step, down) for step, _, down in found]


def acdc(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int,
    compress: Sequence[float] = (0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.85),
    decompress: Sequence[float] = (0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75),
    criterion: Criterion | None = None,
    allocator: Allocator | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """AC/DC: compressed and dense phases take turns; the last phase is compressed.

    The default phases are those published for 100 epochs of ImageNet, as shares of the run. Weights come back at zero;
    channels and heads, which would be dead then, as they last were.

    Args:
        model: the model.
        groups: its groups.
        density: share of the units in compressed phases, and at the end.
        steps: length of the run.
        compress: shares of the run at which everything is pruned to the density; the largest of all is one of these.
        decompress: shares of the run at which everything becomes active again.
        criterion: what stays (`Magnitude`).
        allocator: how many stay in each group (all ranked together, no group below half a percent).
        seed: for random criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    check_density(density)
    check_counts(steps=(steps, 1))
    phases = _phases(compress, decompress, steps)
    prune = Prune(criterion or Magnitude(), allocator or _ranked_together(groups), density)
    check_reachable(groups, prune.allocator, [density])
    events = tuple(
        Event(step, (prune if down else Restore(),), "compressed" if down else "dense") for step, down in phases
    )
    plan = Plan(all_kept(groups), Timeline(events, start="dense"), values_on_return(groups), steps=steps)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)
