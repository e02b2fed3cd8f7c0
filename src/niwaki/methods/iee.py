"""IEE, iterative exploitation-exploration (Sun, Shen, Yin, Mao, Molchanov, Alvarez, WACV 2025)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from ..allocate import check_density
from ..core.contracts import Allocator, Criterion, Probe, Schedule
from ..core.errors import TrainError
from ..core.group import Group
from ..criteria import Magnitude
from ..moves.drop import Drop
from ..moves.explore import Explore
from ..moves.grow import Grow
from ..moves.pools import Normalise, Scope
from ..moves.schedules import exponential
from ..moves.timeline import Event, merged
from ..train.plan import Plan
from ..train.sparsifier import Sparsifier
from ..train.values import ExploreInit, GrowInit, Values
from .start import all_kept, check_steps, descent, first_keep


@dataclass(frozen=True)
class _Cycle:
    """The five stages: estimate (H), drop, improve (J), explore (Q), grow."""

    criterion: Criterion
    H: int
    J: int
    Q: int
    swap: Schedule
    scope: Scope
    normalise: Normalise
    freeze: bool
    grace: bool

    def __post_init__(self) -> None:
        if self.H < 1 or self.J < 0 or self.Q < 0:
            raise TrainError(f"IEE needs H >= 1, J >= 0, Q >= 0 steps; got H={self.H}, J={self.J}, Q={self.Q}")
        if self.Q == 0 and not self.criterion.needs <= {"weight", "noise"}:
            raise TrainError(
                f"without exploration (Q=0) removed weights have no gradient, so {type(self.criterion).__name__} "
                "cannot rank them; use a criterion of weights alone, or Q >= 1"
            )

    def events(self, begin: int, last: int) -> Iterator[Event]:
        grow = Grow(self.criterion, self.scope, self.normalise)
        length = self.H + self.J + self.Q
        count = (last - begin) // length
        for number in range(count):
            at = begin + number * length
            drop = Drop(self.criterion, self.swap(at), self.scope, self.normalise, grace=self.grace)
            yield Event(at + self.H, (drop,), "improve", window=self.H)
            if self.Q:
                yield Event(at + self.H + self.J, (Explore(self.freeze),), "explore")
            yield Event(at + length, (grow,), "estimate" if number < count - 1 else "train", window=max(1, self.Q))


def iee(
    model: nn.Module,
    groups: Sequence[Group],
    *,
    density: float,
    steps: int,
    criterion: Criterion | None = None,
    H: int = 45,
    J: int = 45,
    Q: int = 10,
    alpha: float = 0.3,
    decay: float = 2.5,
    end: float = 0.75,
    swap: Schedule | None = None,
    scope: Scope = "layer",
    normalise: Normalise = "none",
    explore_init: ExploreInit = "zero",
    grow_init: GrowInit = "zero",
    carry: bool = False,
    explore_rate: float = 0.1,
    freeze: bool = True,
    grace: bool = False,
    init: Criterion | None = None,
    reach: int = 0,
    allocator: Allocator | None = None,
    seed: int = 0,
    probe: Probe | None = None,
    example: object = None,
) -> Sparsifier:
    """Prune, improve, reactivate, explore, grow: one criterion decides what leaves and what comes back.

    A cycle trains the active weights for ``H`` steps, drops the least important, trains the rest for ``J`` steps, then
    freezes them and trains only the removed weights for ``Q`` steps, in a dense forward pass; the most important of
    these grow. The count of active units is the same after every cycle.

    Args:
        model: the model, fresh or trained.
        groups: its groups: weights, blocks or N:M patterns.
        density: share of the units that is active after every cycle.
        steps: length of the run.
        criterion: decides both what leaves and what comes back (`Magnitude`); criteria that read gradients are averaged
            over the H or Q steps before.
        H: steps of importance estimation.
        J: steps of accuracy improvement; 0 leaves the stage out.
        Q: steps of exploration; 0 leaves the stage out, and what grows is then ranked by last active values.
        alpha: share of the active units that is swapped in the first cycle.
        decay: how fast that share falls (*ours*: the paper says exponential, and no more).
        end: share of the run after which the structure stands.
        swap: the share to swap at a step, in place of ``alpha exp(-decay t / T_end)``.
        scope: rank within each layer, or globally.
        normalise: for global scope, ``layer_l2`` puts the layers on one scale.
        explore_init: what removed weights start exploring from: see `Values`.
        grow_init: what grown weights start from: see `Values`.
        carry: whether explored values survive to the next exploration.
        explore_rate: a factor on the learning rate while exploring (*ours*): if small, the gradient of Q batches ranks.
        freeze: whether the active part stands still during exploration (the paper's ablation: ``False``).
        grace: spare the weights that grew last from the next drop.
        init: chooses the first structure: random from scratch; ``Magnitude()`` starts from what a trained model shows.
        reach: steps over which a trained model is pruned down to the density before the first cycle, geometrically.
        allocator: how many units each group has (Erdos-Renyi-Kernel; the pattern for N:M groups).
        seed: for random structures and criteria.
        probe: measures what the criterion wants beyond weights and gradients.
        example: one batch of inputs, to count FLOPs from.

    Returns:
        A sparsifier to attach to the optimizer.
    """
    criterion, last = criterion or Magnitude(), int(end * steps)
    cycle = _Cycle(criterion, H, J, Q, swap or exponential(alpha, last, decay), scope, normalise, freeze, grace)
    check_steps(last, reach + H + J + Q, f"a cycle of {H + J + Q} steps in the first {end:.0%} of the run")
    check_density(density)
    start = all_kept(groups)
    if not reach:
        start = first_keep(model, groups, density, allocator=allocator, init=init, seed=seed, probe=probe)
    events = [*descent(groups, reach, density, criterion, allocator), *cycle.events(reach, last)]
    timeline = merged(events, start="prune" if reach else "estimate")
    plan = Plan(start, timeline, Values(explore_init, grow_init, carry), freeze, steps, explore_rate)
    return Sparsifier(model, groups, plan, seed=seed, probe=probe, example=example)
