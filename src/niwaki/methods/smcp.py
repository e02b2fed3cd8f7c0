"""SMCP, soft masking for cost-constrained channel pruning (Humble et al., ECCV 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ..allocate.cost import Budget
from ..allocate.knapsack import Method
from ..core.checks import check_counts, check_not_negative, check_positive, check_shares
from ..core.contracts import Criterion, Probe, check_criterion
from ..core.costs import Limit
from ..core.errors import SignalError
from ..core.group import Group, is_structured
from ..criteria import Magnitude
from ..moves.afford import Rewire
from ..moves.timeline import Event, Timeline
from ..signals.unit_gates import GATE_KINDS
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import Values, readers
from .budgeted import Knapsack, reachable
from .start import all_kept, check_steps


@dataclass(frozen=True)
class _Ramp:
    """How much of the reduction is asked at a step: ``(1 - exp(-rate p)) / (1 - exp(-rate))``, p from 0 to 1."""

    begin: int
    last: int
    every: int
    rate: float

    def __post_init__(self) -> None:
        check_steps(self.last - self.begin, self.every, f"a rewiring every {self.every} steps between both ends")

    def asked(self, step: int) -> float:
        done = (step - self.begin) / (self.last - self.begin)
        return 1.0 if done >= 1 else math.expm1(-self.rate * done) / math.expm1(-self.rate)

    def events(self, criterion: Criterion, choose: Knapsack, limits: Sequence[Limit]) -> Iterator[Event]:
        for step in [*range(self.begin + self.every, self.last, self.every), self.last]:
            targets = tuple(
                Limit(one.cost, max(one.most, one.cost.dense - self.asked(step) * (one.cost.dense - one.most)))
                for one in limits
            )
            is_last = step == self.last
            move = Rewire(criterion, choose, targets, soft=not is_last)
            yield Event(step, (move,), "train" if is_last else "rewire", window=self.every)


def _check_sees_masked(criterion: Criterion) -> None:
    check_criterion(criterion)
    if gates := criterion.needs & GATE_KINDS:
        raise SignalError(
            f"{type(criterion).__name__} reads {min(gates)!r}, of a gate on the weights that read a channel; these are "
            "zero while it is masked, and so is what the gate does: the channel would never return; take Taylor(), "
            "Fisher() or another criterion without gates"
        )


def smcp(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    budget: Budget,
    steps: int,
    criterion: Criterion | None = None,
    every: int = 80,
    warmup: float = 0.1111111111111111,
    cooldown: float = 0.2777777777777778,
    rate: float = 2.75,
    mask_decay: float = 2e-4,
    solver: Method = "exact",
    chunk: int | Mapping[str, int] = 1,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    r"""Rewire a network softly under a falling cost: masked weights go on learning, and may return.

    The weights that read a channel are masked, the channel goes on being computed. Gradients pass the mask as if it
    were not there (straight-through), and masked weights decay a little more. Every so many steps a knapsack chooses
    anew among all channels, for the cost

    .. math:: C_{dense} - (C_{dense} - C)\,(1 - e^{-\lambda p}) / (1 - e^{-\lambda})

    with :math:`p` the share of the way done. After the last rewiring what is masked is gone, and training goes on.

    Args:
        model: the model, fresh or trained.
        groups: its groups: channels, heads.
        budget: what it may cost at the end: such as ``Latency(0.5, table)``, or several.
        steps: length of the run.
        criterion: which channels stay (the sum of the absolute weights that read them); none that measures gates on
            channels, such as `GroupFisher`: for a masked one that is zero.
        every: steps between rewirings.
        warmup: share of the run that is dense.
        cooldown: share of the run after the last rewiring.
        rate: how much faster the cost falls at first: :math:`\lambda`.
        mask_decay: added to the gradient of masked weights, times their value.
        solver: ``"exact"`` or ``"greedy"``.
        chunk: channels come and go by so many, one number or by group name.
        seed: for random criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer. Its ``keep`` is for the groups given: shrink with them.
    """
    check_counts(steps=(steps, 1), every=(every, 1))
    check_shares(warmup=warmup, cooldown=cooldown)
    check_positive(rate=rate)
    check_not_negative(mask_decay=mask_decay)
    if criterion is not None:
        _check_sees_masked(criterion)
    ramp = _Ramp(round(warmup * steps), steps - round(cooldown * steps), every, rate)
    choose = Knapsack(solver, chunk)
    limits = reachable(groups, budget, choose).limits
    # Masked where they are read alone: a channel whose filters were masked too would have no gradient.
    parts = readers(groups) if is_structured(groups) else groups
    usual = Magnitude(1, roles=("in",)) if is_structured(groups) else Magnitude(1)
    timeline = Timeline(tuple(ramp.events(criterion or usual, choose, limits)), start="dense")
    plan = Plan(all_kept(groups), timeline, Values(grow="mru"), steps=steps, straight_through_decay=mask_decay)
    return Sparsifier(model, parts, plan, seed=seed, probe=probe, example=example)
