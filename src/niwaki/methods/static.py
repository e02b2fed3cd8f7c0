"""Dense and static training: the two ends every other method lies between."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..core.contracts import Allocator, Criterion, Probe
from ..core.group import Group
from ..moves.timeline import Timeline
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import Values
from .start import all_kept, check_steps, first_keep


def dense(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float = 1.0,
    steps: int = 1,
    seed: int = 0,
    example: object = None,
) -> Sparsifier:
    """Train everything: no weight is touched, but cost and density are recorded as for every method.

    Args:
        model: the model.
        groups: its groups.
        density: accepted for likeness with the other methods; a dense network has density 1.
        steps: length of the run.
        seed: unused, for likeness.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    plan = Plan(all_kept(groups), timeline=Timeline(start="dense"), values=Values(remembers=False), steps=steps)
    return Sparsifier(model, groups, plan, seed=seed, example=example)


def static(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int = 1,
    allocator: Allocator | None = None,
    init: Criterion | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Train one fixed sparse structure, random unless a criterion chooses it.

    With ``init=Snip()``, ``Grasp()`` or ``SynFlow()`` and a probe this is pruning at initialisation; with
    ``init=Magnitude()`` on a trained model it is one-shot pruning and fine-tuning.

    Args:
        model: the model.
        groups: its groups.
        density: share of the units that stays.
        steps: length of the run.
        allocator: how many stay in each group (Erdos-Renyi-Kernel; the pattern for N:M groups).
        init: chooses the structure (random).
        seed: of the random structure.
        probe: measures what ``init`` wants beyond weights.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    check_steps(steps, 1, "a run")
    keep = first_keep(model, groups, density, allocator=allocator, init=init, seed=seed, probe=probe)
    plan = Plan(keep, values=Values(remembers=False), steps=steps)
    return Sparsifier(model, groups, plan, seed=seed, example=example)
