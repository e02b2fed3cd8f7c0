"""Dense and static training: the two ends every other method lies between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..allocate import uniform_width
from ..allocate.cost import Budget
from ..core.checks import check_counts
from ..core.contracts import Allocator, Criterion, Probe
from ..core.group import Group
from ..moves.timeline import Timeline
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import Values
from .aims import check_aim
from .start import all_kept, first_keep, first_scores


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


Fitting = Callable[[Sequence[Group], Mapping[str, Tensor], Budget], dict[str, Tensor]]
"""``(groups, scores, budget) -> keep``: `uniform_width`, `knapsack`."""


def _first(
    model: nn.Module, groups: Sequence[Group], density: float | None, budget: Budget | None, **start: Any
) -> dict[str, Tensor]:
    check_aim(density, budget)
    allocator = start.pop("allocator")
    if density is not None:
        return first_keep(model, groups, density, allocator=allocator, **start)
    assert budget is not None
    fitting: Fitting = allocator or uniform_width
    return fitting(groups, first_scores(model, groups, **start), budget)


def static(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float | None = None,
    budget: Budget | None = None,
    steps: int = 1,
    allocator: Allocator | Fitting | None = None,
    init: Criterion | None = None,
    materialise: bool = False,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Train one fixed sparse structure, random unless a criterion chooses it.

    With ``init=Snip()``, ``Grasp()`` or ``SynFlow()`` and a probe this is pruning at initialisation; with
    ``init=Magnitude()`` on a trained model it is one-shot pruning and fine-tuning. Within a budget of cost all groups
    keep the same share: the control for methods that search for widths.

    Args:
        model: the model.
        groups: its groups.
        density: share of the units that stays; or
        budget: what the network may cost, such as ``Latency(0.5, table)``, or several.
        steps: length of the run.
        allocator: how many stay in each group (Erdos-Renyi-Kernel; the pattern for N:M groups; one density for
            structures); for a budget `uniform_width` or `knapsack`.
        init: chooses the structure (random).
        materialise: whether the model is really smaller while it trains, which saves time.
        seed: of the random structure.
        probe: measures what ``init`` wants beyond weights.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    check_counts(steps=(steps, 1))
    keep = _first(model, groups, density, budget, allocator=allocator, init=init, seed=seed, probe=probe)
    plan = Plan(keep, values=Values(remembers=False), steps=steps, materialise=materialise)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)
