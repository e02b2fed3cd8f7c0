"""HALP, hardware-aware latency pruning (Shen, Yin, Molchanov, Mao, Liu, Alvarez, NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from ..allocate.cost import Budget
from ..allocate.knapsack import Method
from ..core.checks import check_counts
from ..core.contracts import Criterion, Probe
from ..core.group import Group
from ..moves.timeline import Timeline
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import Values
from .budgeted import Knapsack, cost_descent, norm_taylor, reachable
from .start import all_kept, check_steps


def halp(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    budget: Budget,
    steps: int,
    criterion: Criterion | None = None,
    every: int = 40,
    events: int = 30,
    begin: int = 0,
    solver: Method = "exact",
    chunk: int | Mapping[str, int] = 1,
    materialise: bool = False,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    r"""Prune a trained network down to a latency in equal ratios, and train what is left.

    The k-th of ``events`` prunings solves a knapsack for the cost :math:`C_k = C^{k/K} C_{dense}^{1 - k/K}`: the units
    worth most together that cost no more. Scores are averaged over the ``every`` steps since the pruning before. What
    is removed never returns, and after every pruning the network costs no more than that pruning's target.

    Args:
        model: the model, trained.
        groups: its groups: channels, heads.
        budget: what it may cost at the end: such as ``Latency(0.5, table)``, or several.
        steps: length of the run, the training after the last pruning included.
        criterion: what stays (first-order Taylor on the norms, on the filters where there is none).
        every: steps between prunings, and before the first.
        events: how many prunings.
        begin: steps before all that.
        solver: ``"exact"``, or ``"greedy"`` as published.
        chunk: units come and go by so many, one number or by group name.
        materialise: whether the model is really smaller after each pruning, which saves time.
        seed: for random criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    check_counts(steps=(steps, 1), events=(events, 1), every=(every, 1), begin=(begin, 0))
    check_steps(steps - begin, every * events, f"a run of {events} prunings {every} steps apart (events=, every=)")
    choose = Knapsack(solver, chunk)
    limits = reachable(groups, budget, choose).limits
    at = [begin + every * k for k in range(events + 1)]
    prunings = cost_descent(criterion or norm_taylor(), choose, limits, at, then="train")
    plan = Plan(
        all_kept(groups),
        Timeline(tuple(prunings), start="prune"),
        Values(remembers=False),
        steps=steps,
        materialise=materialise,
    )
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)
