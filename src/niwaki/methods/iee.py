"""IEE, iterative exploitation-exploration (Sun, Shen, Yin, Mao, Molchanov, Alvarez, WACV 2025)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import nn

from ..allocate.cost import Budget
from ..core.checks import check_counts, check_not_negative, check_schedule, check_shares
from ..core.contracts import Allocator, Criterion, Probe, Schedule
from ..core.errors import TrainError
from ..core.group import Group
from ..moves.afford import Choose
from ..moves.explore import Explore
from ..moves.pools import Normalise, Scope
from ..moves.schedules import exponential
from ..moves.timeline import Event, Timeline, merged
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import ExploreInit, GrowInit, usual_values
from .aims import Aim, Ranking, aim_of
from .budgeted import usual_criterion
from .start import all_kept, check_steps

_LATEST = 0.75  # of a run that is too short for a cycle before


@dataclass(frozen=True)
class _Cycle:
    """The five stages: estimate (H), drop, improve (J), explore (Q), grow."""

    criterion: Criterion
    H: int
    J: int
    Q: int
    freeze: bool
    swap: Schedule | None
    alpha: float | None
    decay: float

    def __post_init__(self) -> None:
        check_counts(H=(self.H, 1), J=(self.J, 0), Q=(self.Q, 0))
        check_schedule(swap=self.swap)
        check_shares(alpha=0.0 if self.alpha is None else self.alpha)
        check_not_negative(decay=self.decay)
        if self.Q == 0 and not self.criterion.needs <= {"weight", "noise"}:
            raise TrainError(
                f"without exploration (Q=0) removed weights have no gradient, so {type(self.criterion).__name__} "
                "cannot rank them; use a criterion of weights alone, or Q >= 1"
            )

    @property
    def length(self) -> int:
        """Its steps."""
        return self.H + self.J + self.Q

    def events(self, aim: Aim, begin: int, last: int) -> Iterator[Event]:
        alpha = aim.share if self.alpha is None else self.alpha
        # The share falls from cycle to cycle: what was spent on the way down to the first is no part of that.
        swap = self.swap or replace(exponential(alpha, last - begin, self.decay), begin=begin)
        grow, explore = aim.grow(self.criterion), Explore(self.freeze)
        length = self.length
        count = (last - begin) // length
        for number in range(count):
            at = begin + number * length
            yield Event(at + self.H, (aim.drop(self.criterion, swap(at)),), "improve", window=self.H)
            if self.Q:
                yield Event(at + self.H + self.J, (explore,), "explore")
            yield Event(at + length, (grow,), "estimate" if number < count - 1 else "train", window=max(1, self.Q))


@dataclass(frozen=True)
class _Way:
    """A dense beginning, the way down to the aim, the end of the cycles, the end of the run; in steps."""

    warmup: int
    reach: int
    last: int
    run: int

    def timeline(self, aim: Aim, cycle: _Cycle) -> Timeline:
        begin, length = self.warmup + self.reach, cycle.length
        what = f"before the structure stands, a cycle of {length} steps after {begin} others"
        check_steps(self.last, begin + length, what, run=self.run)
        if self.warmup and not self.reach:
            raise TrainError(f"a warm-up of {self.warmup} steps needs steps to come down from dense: give reach=")
        down = aim.descent(cycle.criterion, self.warmup, self.reach) if self.reach else []
        return merged([*down, *cycle.events(aim, begin, self.last)], start="prune" if down else "estimate")


def _way(aim: Aim, cycle: _Cycle, steps: int, warmup: int, reach: int | None, end: float | None) -> _Way:
    """What was asked, or else the aim's own; it may end later in a short run, so that a cycle fits."""
    check_counts(steps=(steps, 1), warmup=(warmup, 0), reach=(0 if reach is None else reach, 0))
    check_shares(end=1.0 if end is None else end)
    reach = aim.reach(steps) if reach is None else reach
    usual = max(int(aim.end * steps), min(warmup + reach + cycle.length, int(_LATEST * steps)))
    return _Way(warmup, reach, usual if end is None else int(end * steps), steps)


def iee(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float | None = None,
    budget: Budget | None = None,
    steps: int,
    criterion: Criterion | None = None,
    H: int = 45,
    J: int = 45,
    Q: int = 10,
    alpha: float | None = None,
    decay: float = 2.5,
    end: float | None = None,
    swap: Schedule | None = None,
    scope: Scope = "layer",
    normalise: Normalise = "none",
    explore_init: ExploreInit | None = None,
    grow_init: GrowInit | None = None,
    carry: bool = False,
    explore_rate: float = 0.1,
    freeze: bool = True,
    grace: bool = False,
    init: Criterion | None = None,
    warmup: int = 0,
    reach: int | None = None,
    allocator: Allocator | Choose | None = None,
    train_cross_slices: bool = True,
    materialise: bool = False,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Prune, improve, reactivate, explore, grow: one criterion decides what leaves and what comes back.

    A cycle trains the active units for ``H`` steps, drops the least important, trains the rest for ``J`` steps, then
    freezes them and trains only the removed units for ``Q`` steps, in a dense forward pass; the most important of
    these grow. With a density the count of active units is the same after every cycle; with a budget the network drops
    to a share below it, and grows until it is spent: after every cycle it costs no more than the budget.

    Args:
        model: the model, fresh or trained.
        groups: its groups: weights, blocks, N:M patterns, channels, heads.
        density: share of the units that is active after every cycle; or
        budget: what the network may cost after every cycle, such as ``Latency(0.5, table)``, or several.
        steps: length of the run.
        criterion: decides both what leaves and what comes back (`Magnitude`; for structures first-order Taylor on the
            norms, as in HALP); criteria that read gradients are averaged over the H or Q steps before.
        H: steps of importance estimation.
        J: steps of accuracy improvement; 0 leaves the stage out.
        Q: steps of exploration; 0 leaves the stage out, and what grows is then ranked by last active values.
        alpha: share of the active units (0.3), or of the budget (0.05), that is swapped in the first cycle.
        decay: how fast that share falls (*ours*: the paper says exponential, and no more).
        end: share of the run after which the structure stands (0.75; 0.4 for a budget, so that channels can
            learn, or as much of a short run as one cycle takes).
        swap: the share to swap at a step, in place of ``alpha exp(-decay p)``, where ``p`` goes from 0 at the first
            cycle to 1 at the ``end``.
        scope: for a density, rank within each layer, or globally.
        normalise: for global scope, ``layer_l2`` puts the layers on one scale.
        explore_init: what removed weights start exploring from: see `Values` (``zero``, or ``mru_zero`` with ``carry``;
            for structures ``mru_random``, since a channel of zeros has no gradient).
        grow_init: what grown weights start from: see `Values` (``zero``; for structures ``explored``).
        carry: whether explored values survive to the next exploration.
        explore_rate: a factor on the learning rate while exploring (*ours*): if small, the gradient of Q batches ranks.
        freeze: whether the active part stands still during exploration (the paper's ablation: ``False``).
        grace: for a density, spare the weights that grew last from the next drop.
        init: chooses the first structure: random from scratch; ``Magnitude()`` starts from what a trained model shows.
        warmup: dense steps before the first pruning, where ``reach`` is not 0.
        reach: steps over which a dense model is pruned down before the first cycle, in equal ratios (0; an eighth of
            the run for a budget).
        allocator: how many units each group has (Erdos-Renyi-Kernel; the pattern for N:M groups; the same density for
            structures); for a budget, what picks the units (the exact knapsack).
        train_cross_slices: whether, while exploring, the weights of kept channels learn that read or feed removed ones.
        materialise: whether the model is really smaller outside of exploration, which saves time.
        seed: for random structures and criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    aim = aim_of(groups, density, budget, allocator, Ranking(scope, normalise, grace))
    cycle = _Cycle(criterion or usual_criterion(groups), H, J, Q, freeze, swap, alpha, decay)
    way = _way(aim, cycle, steps, warmup, reach, end)
    timeline, values = way.timeline(aim, cycle), usual_values(groups, explore_init, grow_init, carry=carry)
    start = all_kept(groups) if way.reach else aim.first(model, init, seed, probe)
    plan = Plan(start, timeline, values, freeze, steps, explore_rate, train_cross_slices, materialise=materialise)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)
